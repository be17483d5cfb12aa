//! MNIST, and data sets of its format, such as Fashion-MNIST.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use ::mnist::MnistBuilder;

use super::idx::{Expected, plain_file};
use super::{Dataset, Samples};
use crate::error::{Error, Result};
use crate::files;

/// Digits, or kinds of clothing.
pub const CLASSES: usize = 10;

const TRAIN: u32 = 60_000;
const TEST: u32 = 10_000;
const SIDE: u32 = 28;

/// Loads the four files of `folder`, plain or gzipped: 60,000 training and 10,000 test images of
/// 28×28 bytes, shape (1, 28, 28), with labels 0 to 9.
///
/// Gzipped files are unpacked once, into a cache folder (`$XDG_CACHE_HOME`, else `~/.cache`, else the
/// temporary folder). All four are validated before the `mnist` crate parses them, because that
/// crate panics on what it does not like.
///
/// # Errors
/// A file that is missing, cannot be read or unpacked, or does not hold what it should.
pub fn load_mnist(folder: impl AsRef<Path>) -> Result<Dataset> {
    let folder = folder.as_ref();
    let cache = cache_folder(folder);
    let file = |name: &str, expected: Expected<'_>| -> Result<String> {
        let path = plain_file(folder, name, &cache, expected)?;
        path.into_os_string()
            .into_string()
            .map_err(|path| Error::Data {
                path: PathBuf::from(path),
                expected: "a path in UTF-8".to_owned(),
                got: "another encoding".to_owned(),
            })
    };
    let images = |dims| Expected { dims, below: 256 };
    let labels = |dims| Expected {
        dims,
        below: CLASSES as u16,
    };
    let train_images = file("train-images-idx3-ubyte", images(&[TRAIN, SIDE, SIDE]))?;
    let train_labels = file("train-labels-idx1-ubyte", labels(&[TRAIN]))?;
    let test_images = file("t10k-images-idx3-ubyte", images(&[TEST, SIDE, SIDE]))?;
    let test_labels = file("t10k-labels-idx1-ubyte", labels(&[TEST]))?;

    let parsed = MnistBuilder::new()
        .base_path("")
        .training_images_filename(&train_images)
        .training_labels_filename(&train_labels)
        .test_images_filename(&test_images)
        .test_labels_filename(&test_labels)
        .training_set_length(TRAIN)
        .validation_set_length(0)
        .test_set_length(TEST)
        .label_format_digit()
        .finalize();
    let train = Samples {
        images: parsed.trn_img,
        labels: parsed.trn_lbl,
    };
    let test = Samples {
        images: parsed.tst_img,
        labels: parsed.tst_lbl,
    };
    let side = SIDE as usize;
    Dataset::new([1, side, side], CLASSES, train, test)
}

/// Where the gzipped files of `folder` are unpacked: a folder of its own for each.
fn cache_folder(folder: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    folder
        .canonicalize()
        .unwrap_or_else(|_| folder.to_owned())
        .hash(&mut hasher);
    files::cache_folder().join(format!("{:016x}", hasher.finish()))
}
