//! Samples that a trainer reads by number, wherever they are.

use std::fmt::Debug;
use std::sync::Arc;

use super::classes::words;
use super::{Dataset, Samples};
use crate::error::{Error, Result};
use crate::shape::Shape;
use crate::target::{Array, Element, Target};

/// Samples read for a checksum: enough to tell data sets apart, however large they are.
const CHECKED: usize = 1024;

/// Samples, by number: in memory, in files, or computed. Implement it to train on data of your own,
/// of any size: a [`Trainer`](crate::Trainer) reads what it needs, when it needs it, and keeps none
/// of it on the host.
///
/// ```
/// use wgrad::data::{Array, Data, Source, Target};
/// use wgrad::plan::Element;
///
/// /// Is the mean of four random bytes above 127?
/// #[derive(Debug)]
/// struct Brightness;
///
/// impl Source for Brightness {
///     fn len(&self) -> usize { 1000 }
///     fn input(&self) -> Array { Array::new([4], Element::U8) }
///     fn target(&self) -> Target { Target::class(2) }
///     fn read(&self, samples: &[u32], inputs: &mut [u8], targets: &mut [u8]) -> wgrad::Result<()> {
///         for (&sample, (input, target)) in
///             samples.iter().zip(inputs.chunks_mut(4).zip(targets)) {
///             input.copy_from_slice(&sample.wrapping_mul(0x9e37_79b9).to_le_bytes());
///             let sum: u32 = input.iter().map(|&byte| u32::from(byte)).sum();
///             *target = u8::from(sum > 4 * 127);
///         }
///         Ok(())
///     }
/// }
///
/// let data = Data::new(Brightness);
/// assert_eq!(data.train().len(), 1000);
/// ```
pub trait Source: Debug + Send + Sync {
    /// Number of samples.
    fn len(&self) -> usize;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The input of each sample.
    fn input(&self) -> Array;

    /// The target of each sample.
    fn target(&self) -> Target;

    /// Reads samples by number, in this order: their inputs, concatenated, and their targets,
    /// unless these are the inputs. Words are little-endian.
    ///
    /// # Errors
    /// A sample cannot be read.
    fn read(&self, samples: &[u32], inputs: &mut [u8], targets: &mut [u8]) -> Result<()>;

    /// A number that tells these samples from others, for resuming: by default CRC-32 of at most
    /// 1,024 samples, evenly spaced.
    ///
    /// # Errors
    /// As [`Source::read`].
    fn checksum(&self) -> Result<u32> {
        let len = self.len();
        let count = len.min(CHECKED);
        let mut crc = flate2::Crc::new();
        for place in 0..count {
            let sample = (place * len / count) as u32;
            let (mut inputs, mut targets) = room_for(1, &self.input(), &self.target());
            self.read(&[sample], &mut inputs, &mut targets)?;
            crc.update(&inputs);
            crc.update(&targets);
        }
        Ok(crc.sum())
    }
}

/// Zeros for the inputs and targets of `count` samples.
fn room_for(count: usize, input: &Array, target: &Target) -> (Vec<u8>, Vec<u8>) {
    let targets = target.array().map_or(0, Array::bytes);
    (vec![0; count * input.bytes()], vec![0; count * targets])
}

/// The inputs and targets of `samples`, as [`Source::read`] gives them.
///
/// # Errors
/// A sample cannot be read.
pub(crate) fn read(source: &dyn Source, samples: &[u32]) -> Result<[Vec<u8>; 2]> {
    let (mut inputs, mut targets) = room_for(samples.len(), &source.input(), &source.target());
    source.read(samples, &mut inputs, &mut targets)?;
    Ok([inputs, targets])
}

/// Labelled byte images in memory, as a source.
#[derive(Debug)]
struct Bytes {
    sample: Shape,
    classes: usize,
    samples: Arc<Samples>,
}

impl Source for Bytes {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn input(&self) -> Array {
        Array::new(self.sample.clone(), Element::U8)
    }

    fn target(&self) -> Target {
        Target::class(self.classes)
    }

    fn read(&self, samples: &[u32], inputs: &mut [u8], targets: &mut [u8]) -> Result<()> {
        let len = self.sample.elements();
        let places = samples.iter().map(|&sample| sample as usize);
        let images = inputs.chunks_exact_mut(len.max(1));
        for ((sample, image), label) in places.zip(images).zip(targets) {
            image.copy_from_slice(&self.samples.images[sample * len..][..len]);
            *label = self.samples.labels[sample];
        }
        Ok(())
    }

    fn checksum(&self) -> Result<u32> {
        Ok(self.samples.checksum())
    }
}

/// The samples that a [`Trainer`](crate::Trainer) trains on, and those to evaluate on.
#[derive(Debug, Clone)]
pub struct Data {
    train: Arc<dyn Source>,
    test: Option<Arc<dyn Source>>,
}

impl Data {
    /// Training samples, and none to evaluate on.
    pub fn new(train: impl Source + 'static) -> Self {
        Data {
            train: Arc::new(train),
            test: None,
        }
    }

    /// Sets the samples to evaluate on.
    #[must_use]
    pub fn test(self, test: impl Source + 'static) -> Self {
        let test: Arc<dyn Source> = Arc::new(test);
        Data {
            test: Some(test),
            ..self
        }
    }

    /// Replaces the training samples, by some of them for example.
    #[must_use]
    pub fn with_train(self, train: impl Source + 'static) -> Self {
        let train: Arc<dyn Source> = Arc::new(train);
        Data { train, ..self }
    }

    /// The training samples.
    pub fn train(&self) -> &dyn Source {
        self.train.as_ref()
    }

    /// The samples to evaluate on, if there are any.
    pub fn tested(&self) -> Option<&dyn Source> {
        self.test.as_deref()
    }

    /// Number of samples to train and to evaluate on.
    pub(crate) fn lens(&self) -> [usize; 2] {
        [self.train.len(), self.tested().map_or(0, Source::len)]
    }

    /// Checks that there is something to train on, and that both sets are of one kind.
    ///
    /// # Errors
    /// The training set is empty, or the two differ in the arrays of their samples.
    pub(crate) fn check(&self) -> Result<()> {
        if self.train.is_empty() {
            return Err(Error::value("training set", "at least 1 sample", 0));
        }
        let total = self.lens().into_iter().fold(0usize, usize::saturating_add);
        if u32::try_from(total).is_err() {
            return Err(Error::value("data set", "below 2³² samples", total));
        }
        let Some(test) = self.tested() else {
            return Ok(());
        };
        let [train, test] = [self.train(), test].map(|source| (source.input(), source.target()));
        if train == test {
            return Ok(());
        }
        let text = |(input, target): (Array, Target)| {
            format!("{:?} {} and {target}", input.element, input.shape)
        };
        Err(Error::value("test set", text(train), text(test)))
    }

    /// Reads the samples numbered `samples`, first those to train on, then those to evaluate on;
    /// all are of one set.
    ///
    /// # Errors
    /// A sample cannot be read, or a class is out of range.
    pub(crate) fn read(&self, samples: &[u32]) -> Result<[Vec<u8>; 2]> {
        let train_len = self.train.len() as u32;
        let mut numbers = samples.to_vec();
        let (source, name) = match self.tested() {
            Some(test) if samples.first().is_some_and(|&first| first >= train_len) => {
                numbers.iter_mut().for_each(|number| *number -= train_len);
                (test, "test set")
            }
            _ => (self.train(), "training set"),
        };
        let [inputs, targets] = read(source, &numbers)?;
        let target = source.target();
        if let Target::Classes(array, classes) = &target {
            check_classes(name, &numbers, array, *classes, &targets)?;
        }
        Ok([inputs, targets])
    }
}

/// # Errors
/// A class is not below `classes`.
fn check_classes(
    set: &str,
    samples: &[u32],
    array: &Array,
    classes: usize,
    targets: &[u8],
) -> Result<()> {
    let found = words(array, targets);
    match found
        .enumerate()
        .find(|&(_, class)| class as usize >= classes)
    {
        None => Ok(()),
        Some((at, class)) => {
            let sample = samples[at / array.shape.elements()];
            let got = format!("{class} as label {sample}");
            Err(Error::value(set, format!("labels below {classes}"), got))
        }
    }
}

impl From<&Dataset> for Data {
    fn from(dataset: &Dataset) -> Self {
        let source = |samples: &Arc<Samples>| -> Arc<dyn Source> {
            Arc::new(Bytes {
                sample: dataset.sample.clone(),
                classes: dataset.classes,
                samples: samples.clone(),
            })
        };
        Data {
            train: source(&dataset.train),
            test: (!dataset.test.is_empty()).then(|| source(&dataset.test)),
        }
    }
}

impl From<&Data> for Data {
    fn from(data: &Data) -> Self {
        data.clone()
    }
}
