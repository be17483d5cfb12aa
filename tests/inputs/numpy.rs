//! Arrays that NumPy saved: `np.save` and `np.savez_compressed`.

use std::path::{Path, PathBuf};

use wgrad::data::{Source, Target, load_npy, load_npz};
use wgrad::plan::Element;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/inputs/numpy")
        .join(name)
}

/// The inputs and targets of some samples.
fn read(source: &dyn Source, samples: &[u32]) -> (Vec<u8>, Vec<u8>) {
    let mut inputs = vec![0; samples.len() * source.input().bytes()];
    let each = source.target().array().map_or(0, |array| array.bytes());
    let mut targets = vec![0; samples.len() * each];
    source.read(samples, &mut inputs, &mut targets).unwrap();
    (inputs, targets)
}

#[test]
fn bytes_with_classes_and_floats_with_numbers() {
    let arrays = load_npy(file("images.npy"), Some(&file("labels.npy"))).unwrap();
    assert_eq!(arrays.len(), 4);
    assert_eq!(arrays.input().shape.dims(), [1, 2, 3]);
    // A column of integers is a class for each sample.
    let Target::Classes(array, 3) = arrays.target() else {
        panic!("{:?}", arrays.target());
    };
    assert!(array.shape.dims().is_empty());
    let (inputs, targets) = read(&arrays, &[2, 0]);
    assert_eq!(inputs, [12, 13, 14, 15, 16, 17, 0, 1, 2, 3, 4, 5]);
    assert_eq!(targets, [1, 0, 0, 0, 0, 0, 0, 0]);

    let arrays = load_npy(file("numbers.npy"), Some(&file("numbers.npy"))).unwrap();
    assert_eq!(arrays.input().element, Element::F32);
    let (inputs, targets) = read(&arrays, &[3]);
    let floats = [2.25f32, 2.5, 2.75];
    assert_eq!(inputs, bytemuck::cast_slice::<f32, u8>(&floats));
    assert_eq!(inputs, targets);

    let alone = load_npy(file("numbers.npy"), None).unwrap();
    assert_eq!(alone.target(), Target::Input);
}

#[test]
fn archives_by_the_names_of_their_arrays() {
    let train = load_npz(file("all.npz"), ["x_train", "y_train"]).unwrap();
    assert_eq!(
        read(&train, &[1]),
        (vec![6, 7, 8, 9, 10, 11], vec![2, 0, 0, 0])
    );
    let test = load_npz(file("all.npz"), ["x_test", "y_test"]).unwrap();
    assert!(matches!(test.target(), Target::Numbers(array) if array.shape.dims() == [1]));
    let error = load_npz(file("all.npz"), ["x_train", "labels"])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expected an array `labels`, got x_train.npy"),
        "{error}"
    );
}

#[test]
fn other_arrays_are_refused() {
    let error = |inputs: &str, targets: &str| {
        let loaded = load_npy(file(inputs), Some(&file(targets)));
        loaded.unwrap_err().to_string()
    };
    assert!(error("fortran.npy", "labels.npy").contains("one in Fortran order"));
    assert!(error("complex.npy", "labels.npy").contains("c8"));
    assert!(error("images.npy", "negative.npy").contains("got -2"));
    let text = error("labels.npy", "labels.npy");
    assert_eq!(text, "inputs: expected bytes or floats, got integers");
    assert!(error("all.npz", "labels.npy").contains("all.npz"));
    assert!(error("missing.npy", "labels.npy").contains("missing.npy"));
}
