//! Data sets: labelled byte images, arrays in memory, and sources of one's own.

mod arrays;
mod cifar;
mod classes;
mod folder;
pub mod idx;
mod idx_files;
mod mnist;
#[cfg(feature = "numpy")]
mod numpy;
#[cfg(feature = "pictures")]
mod pictures;
mod source;

pub use arrays::{Arrays, Values};
pub use cifar::{CifarLabels, load_cifar10, load_cifar100};
pub use classes::{balanced_weights, class_counts};
pub use folder::{IdxOptions, load_idx};
pub use idx_files::IdxFiles;
pub use mnist::{CLASSES, load_mnist};
#[cfg(feature = "numpy")]
pub use numpy::{load_npy, load_npz};
#[cfg(feature = "pictures")]
pub use pictures::{PictureOptions, Pictures, load_pictures, open_pictures, read_picture};
pub(crate) use source::read;
pub use source::{Data, Source};

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::shape::Shape;
pub use crate::target::{Array, Target};

/// Labelled samples, one byte per value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Samples {
    /// The samples, concatenated.
    pub images: Vec<u8>,
    /// The class of each.
    pub labels: Vec<u8>,
}

impl Samples {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The images of a range of samples, with bytes divided by 255 as in training: the input of a
    /// [`Session`](crate::Session) and a [`Predictor`](crate::Predictor).
    ///
    /// # Errors
    /// The range exceeds the samples.
    pub fn floats(&self, samples: Range<usize>) -> Result<Vec<f32>> {
        self.check(&samples)?;
        let len = self.images.len() / self.len().max(1);
        let images = self.images[samples.start * len..samples.end * len].iter();
        // The product that the gather computes.
        Ok(images
            .map(|&byte| f32::from(byte) * (1.0 / 255.0))
            .collect())
    }

    /// The classes of a range of samples, as a [`Session`](crate::Session) takes them.
    ///
    /// # Errors
    /// As [`Samples::floats`].
    pub fn classes(&self, samples: Range<usize>) -> Result<Vec<u32>> {
        self.check(&samples)?;
        let labels = self.labels[samples].iter();
        Ok(labels.map(|&label| label.into()).collect())
    }

    fn check(&self, samples: &Range<usize>) -> Result<()> {
        if samples.start > samples.end || samples.end > self.len() {
            let expected = format!("within 0..{}", self.len());
            return Err(Error::value("samples", expected, format!("{samples:?}")));
        }
        Ok(())
    }

    /// CRC-32 of images and labels.
    pub(crate) fn checksum(&self) -> u32 {
        let mut crc = flate2::Crc::new();
        crc.update(&self.images);
        crc.update(&self.labels);
        crc.sum()
    }
}

/// A training set and a test set.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The shape of one sample: (C, H, W) or (F).
    pub sample: Shape,
    /// Number of classes.
    pub classes: usize,
    /// The training set.
    pub train: Arc<Samples>,
    /// The test set.
    pub test: Arc<Samples>,
}

impl Dataset {
    /// A checked data set.
    ///
    /// # Errors
    /// The training set is empty, images and labels differ in number, or a label is not below
    /// `classes`.
    pub fn new(
        sample: impl Into<Shape>,
        classes: usize,
        train: Samples,
        test: Samples,
    ) -> Result<Self> {
        let dataset = Dataset {
            sample: sample.into(),
            classes,
            train: Arc::new(train),
            test: Arc::new(test),
        };
        dataset.check()?;
        Ok(dataset)
    }

    fn check(&self) -> Result<()> {
        let Dataset {
            sample,
            classes,
            train,
            test,
        } = self;
        if train.is_empty() {
            return Err(Error::value("training set", "at least 1 sample", 0));
        }
        for (name, samples) in [("training set", train), ("test set", test)] {
            let bytes = samples.len().saturating_mul(sample.elements());
            if samples.images.len() != bytes {
                let expected = format!("{bytes} bytes of images, {} of {sample}", samples.len());
                return Err(Error::value(
                    name,
                    expected,
                    format!("{} bytes", samples.images.len()),
                ));
            }
            let is_wrong = |&label: &u8| usize::from(label) >= *classes;
            if let Some(at) = samples.labels.iter().position(is_wrong) {
                let got = format!("{} as label {at}", samples.labels[at]);
                return Err(Error::value(name, format!("labels below {classes}"), got));
            }
        }
        Ok(())
    }

    /// The data set with only the first `count` training samples.
    ///
    /// # Errors
    /// `count` is 0 or exceeds the training set.
    pub fn with_train_len(mut self, count: usize) -> Result<Self> {
        if count == 0 || count > self.train.len() {
            let expected = format!("1 to {}", self.train.len());
            return Err(Error::value("training images", expected, count));
        }
        let train = Arc::make_mut(&mut self.train);
        train.images.truncate(count * self.sample.elements());
        train.labels.truncate(count);
        Ok(self)
    }
}
