//! MNIST, and data sets of its extents, such as Fashion-MNIST.

use std::path::Path;

use super::Dataset;
use super::folder::load_exactly;
use crate::error::Result;

/// Number of classes: digits, or kinds of clothing.
pub const CLASSES: usize = 10;

const TRAIN: u32 = 60_000;
const TEST: u32 = 10_000;
const SIDE: u32 = 28;

/// Loads the four files of `folder`, plain or gzipped: 60,000 training and 10,000 test images of
/// 28×28 bytes, shape (1, 28, 28), with labels 0 to 9. Other extents and labels are for
/// [`load_idx`](super::load_idx).
///
/// # Errors
/// A file is missing, cannot be read or unpacked, or has unexpected content.
pub fn load_mnist(folder: impl AsRef<Path>) -> Result<Dataset> {
    let extents = [TRAIN, TEST].map(|images| [images, SIDE, SIDE]);
    load_exactly(folder.as_ref(), extents, CLASSES as u16)
}
