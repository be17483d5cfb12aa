//! CIFAR-10 and CIFAR-100 in their binary version: records of labels, then a colour picture.

use std::fs;
use std::path::Path;

use super::{Dataset, Samples};
use crate::error::{Error, Result};

/// (C, H, W).
const SAMPLE: [usize; 3] = [3, 32, 32];

const PIXELS: usize = 3 * 32 * 32;

/// The labels of CIFAR-100: one of 100 classes, or one of the 20 superclasses that they form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CifarLabels {
    /// The 100 classes.
    #[default]
    Fine,
    /// The 20 superclasses.
    Coarse,
}

/// How a file's records begin, and which of their labels is used.
#[derive(Debug, Clone, Copy)]
struct Format {
    labels: usize,
    used: usize,
    classes: usize,
}

/// Loads the binary version of CIFAR-10 (Krizhevsky, 2009): `data_batch_1.bin` to
/// `data_batch_5.bin` and `test_batch.bin`, with any number of records of a label and 3×32×32
/// bytes.
///
/// # Errors
/// A file is missing or cannot be read, has other than whole records, or a label is not below 10.
pub fn load_cifar10(folder: impl AsRef<Path>) -> Result<Dataset> {
    let format = Format {
        labels: 1,
        used: 0,
        classes: 10,
    };
    let train = [1, 2, 3, 4, 5].map(|number| format!("data_batch_{number}.bin"));
    load(folder.as_ref(), &train, "test_batch.bin", format)
}

/// Loads the binary version of CIFAR-100: `train.bin` and `test.bin`, with records of a coarse
/// label, a fine label and 3×32×32 bytes.
///
/// # Errors
/// As [`load_cifar10`], with labels below 100, or below 20.
pub fn load_cifar100(folder: impl AsRef<Path>, labels: CifarLabels) -> Result<Dataset> {
    let (used, classes) = match labels {
        CifarLabels::Fine => (1, 100),
        CifarLabels::Coarse => (0, 20),
    };
    let format = Format {
        labels: 2,
        used,
        classes,
    };
    load(
        folder.as_ref(),
        &["train.bin".to_owned()],
        "test.bin",
        format,
    )
}

fn load(folder: &Path, train: &[String], test: &str, format: Format) -> Result<Dataset> {
    let mut samples = Samples::default();
    for name in train {
        read(&folder.join(name), format, &mut samples)?;
    }
    let mut test_samples = Samples::default();
    read(&folder.join(test), format, &mut test_samples)?;
    Dataset::new(SAMPLE, format.classes, samples, test_samples)
}

/// Appends the records of a file.
fn read(path: &Path, format: Format, samples: &mut Samples) -> Result<()> {
    let bytes = fs::read(path).map_err(|source| Error::Io {
        path: path.to_owned(),
        source,
    })?;
    let wrong = |expected: String, got: String| Error::Data {
        path: path.to_owned(),
        expected,
        got,
    };
    let record = format.labels + PIXELS;
    if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        let expected = format!("records of {record} bytes");
        return Err(wrong(expected, format!("{} bytes", bytes.len())));
    }
    for (number, record) in bytes.chunks(record).enumerate() {
        let (labels, pixels) = record.split_at(format.labels);
        let label = labels[format.used];
        if usize::from(label) >= format.classes {
            let expected = format!("labels below {}", format.classes);
            return Err(wrong(expected, format!("{label} in record {number}")));
        }
        samples.labels.push(label);
        samples.images.extend_from_slice(pixels);
    }
    Ok(())
}
