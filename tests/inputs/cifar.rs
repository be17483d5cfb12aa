//! CIFAR's binary files.

use std::path::{Path, PathBuf};

use wgrad::data::{CifarLabels, load_cifar10, load_cifar100};

const PIXELS: usize = 3 * 32 * 32;

/// An empty folder for one test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("cifar")
        .join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A record with these labels, whose pixels count from the first label on.
fn record(labels: &[u8]) -> Vec<u8> {
    let pixels = (0..PIXELS).map(|at| labels[0].wrapping_add((at % 251) as u8));
    labels.iter().copied().chain(pixels).collect()
}

fn message(error: wgrad::Error, folder: &Path) -> String {
    error
        .to_string()
        .replace(&folder.display().to_string(), "FOLDER")
}

#[test]
fn records_of_all_batches_are_concatenated() {
    let folder = folder("ten");
    for number in 1..=5u8 {
        let records = [record(&[number]), record(&[number + 4])].concat();
        std::fs::write(folder.join(format!("data_batch_{number}.bin")), records).unwrap();
    }
    let missing = message(load_cifar10(&folder).unwrap_err(), &folder);
    assert!(missing.starts_with("FOLDER/test_batch.bin: "), "{missing}");
    std::fs::write(folder.join("test_batch.bin"), record(&[0])).unwrap();
    let data = load_cifar10(&folder).unwrap();
    assert_eq!((data.classes, data.sample), (10, [3, 32, 32].into()));
    assert_eq!(data.train.labels, [1, 5, 2, 6, 3, 7, 4, 8, 5, 9]);
    assert_eq!(data.test.labels, [0]);
    assert_eq!(data.train.images.len(), 10 * PIXELS);
    assert_eq!(data.train.images[PIXELS..][..4], [5, 6, 7, 8]);

    std::fs::write(folder.join("data_batch_3.bin"), vec![0; PIXELS]).unwrap();
    assert_eq!(
        message(load_cifar10(&folder).unwrap_err(), &folder),
        "FOLDER/data_batch_3.bin: expected records of 3073 bytes, got 3072 bytes"
    );
    let wrong = [record(&[0]), record(&[10])].concat();
    std::fs::write(folder.join("data_batch_3.bin"), wrong).unwrap();
    assert_eq!(
        message(load_cifar10(&folder).unwrap_err(), &folder),
        "FOLDER/data_batch_3.bin: expected labels below 10, got 10 in record 1"
    );
}

#[test]
fn a_hundred_classes_or_their_twenty_superclasses() {
    let folder = folder("hundred");
    let records = [record(&[19, 99]), record(&[3, 50])].concat();
    std::fs::write(folder.join("train.bin"), records).unwrap();
    std::fs::write(folder.join("test.bin"), record(&[0, 1])).unwrap();
    let fine = load_cifar100(&folder, CifarLabels::Fine).unwrap();
    assert_eq!((fine.classes, &*fine.train.labels), (100, &[99, 50][..]));
    let coarse = load_cifar100(&folder, CifarLabels::Coarse).unwrap();
    assert_eq!((coarse.classes, &*coarse.train.labels), (20, &[19, 3][..]));
    assert_eq!(coarse.test.images[..2], [0, 1]);
    std::fs::write(folder.join("test.bin"), record(&[20, 1])).unwrap();
    assert!(load_cifar100(&folder, CifarLabels::Fine).is_ok());
    assert_eq!(
        message(
            load_cifar100(&folder, CifarLabels::Coarse).unwrap_err(),
            &folder
        ),
        "FOLDER/test.bin: expected labels below 20, got 20 in record 0"
    );
}
