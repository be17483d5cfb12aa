//! Samples in arrays and in unpacked IDX files, and counts of classes.

use std::io::Write;

use wgrad::data::{
    Arrays, Data, IdxFiles, Source, Values, balanced_weights, class_counts, load_mnist,
};

use crate::common;

#[test]
fn arrays_that_do_not_fit_are_refused() {
    let error = |arrays: wgrad::Result<Arrays>| arrays.unwrap_err().to_string();
    let bytes = |count: usize| Values::Bytes(vec![0; count]);
    assert_eq!(
        error(Arrays::new([2, 3], bytes(7))),
        "inputs: expected whole samples of (2, 3), got 7 values"
    );
    let integers = Values::Integers(vec![0; 6]);
    assert_eq!(
        error(Arrays::new([6], integers)),
        "inputs: expected bytes or floats, got integers"
    );
    let two = || Arrays::new([3], bytes(6)).unwrap();
    assert_eq!(
        error(two().classes([], Values::Bytes(vec![0, 4]), 4)),
        "labels: expected below 4, got 4"
    );
    assert_eq!(
        error(two().classes([], bytes(3), 4)),
        "labels: expected 2 values, 1 for each of 2 samples, got 3"
    );
    assert_eq!(
        error(two().numbers([2], Values::Floats(vec![0.0; 3]))),
        "targets: expected 4 values, 2 for each of 2 samples, got 3"
    );
    assert!(error(two().classes([], Values::Floats(vec![0.0; 2]), 4)).contains("got floats"));
    assert!(error(two().numbers([], Values::Integers(vec![0; 2]))).contains("got integers"));
}

#[test]
fn classes_are_counted_and_weighed() {
    let labels = Values::Bytes(vec![2, 0, 2, 2, 1, 0]);
    let arrays = Arrays::new([1], Values::Bytes(vec![0; 6])).unwrap();
    let counts = class_counts(&arrays.clone().classes([], labels, 4).unwrap()).unwrap();
    assert_eq!(counts, [2, 1, 3, 0]);
    assert_eq!(balanced_weights(&counts), [1.0, 2.0, 2.0 / 3.0, 0.0]);
    let error = class_counts(&arrays).unwrap_err().to_string();
    assert_eq!(
        error,
        "class counts: expected targets that are classes, got the input"
    );
    let mnist = Data::from(&load_mnist(common::MNIST).unwrap());
    let counts = class_counts(mnist.train()).unwrap();
    assert_eq!(counts.iter().sum::<u64>(), 60_000);
    assert_eq!((counts[0], counts[1]), (5923, 6742));
}

/// The files of an IDX pair, with these magic numbers and `missing` bytes cut off.
fn idx_files(name: &str, magics: [u32; 2], missing: usize) -> wgrad::Result<IdxFiles> {
    let folder = std::env::temp_dir().join(format!("wgrad-idx-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, words: &[u32], bytes: &[u8]| {
        let path = folder.join(name);
        let mut file = std::fs::File::create(&path).unwrap();
        for word in words {
            file.write_all(&word.to_be_bytes()).unwrap();
        }
        file.write_all(bytes).unwrap();
        path
    };
    let pixels: Vec<u8> = (0..18).collect();
    let images = write("images", &[magics[0], 3, 2, 3], &pixels[..18 - missing]);
    let labels = write("labels", &[magics[1], 3], &[2, 0, 1]);
    let opened = IdxFiles::open(images, labels, 3);
    // An open file stays readable.
    std::fs::remove_dir_all(folder).unwrap();
    opened
}

#[test]
#[cfg(unix)]
fn idx_files_are_read_sample_by_sample() {
    let files = idx_files("whole", [0x0803, 0x0801], 0).unwrap();
    assert_eq!(
        (files.len(), files.input().shape.dims()),
        (3, &[1, 2, 3][..])
    );
    let (mut inputs, mut targets) = (vec![0; 12], vec![0; 2]);
    files.read(&[2, 0], &mut inputs, &mut targets).unwrap();
    assert_eq!(inputs, [12, 13, 14, 15, 16, 17, 0, 1, 2, 3, 4, 5]);
    assert_eq!(targets, [1, 2]);
    let error = |magics, missing| idx_files("bad", magics, missing).unwrap_err().to_string();
    assert!(error([0x0803, 0x0801], 1).contains("expected 34 bytes, got 33 bytes"));
    assert!(error([0x0d03, 0x0801], 0).contains("got magic number 0x00000d03"));
}
