//! Samples in memory, with inputs and targets of any shape.

use super::source::Source;
use crate::error::{Error, Result};
use crate::shape::Shape;
use crate::target::{Array, Element, Target};

/// The values of all samples, concatenated.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Bytes: as inputs and as numbers they stand for their 255ths.
    Bytes(Vec<u8>),
    /// Integers.
    Integers(Vec<u32>),
    /// Floats.
    Floats(Vec<f32>),
}

impl Values {
    /// Their element in a [`Source`].
    pub fn element(&self) -> Element {
        match self {
            Values::Bytes(_) => Element::U8,
            Values::Integers(_) => Element::U32,
            Values::Floats(_) => Element::F32,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Values::Bytes(bytes) => bytes,
            Values::Integers(words) => bytemuck::cast_slice(words),
            Values::Floats(floats) => bytemuck::cast_slice(floats),
        }
    }

    /// The largest of bytes or integers.
    pub(super) fn largest(&self) -> Option<u32> {
        match self {
            Values::Bytes(bytes) => bytes.iter().copied().max().map(u32::from),
            Values::Integers(words) => words.iter().copied().max(),
            Values::Floats(_) => None,
        }
    }
}

/// Samples in memory: byte or float inputs with classes, with numbers, or as their own targets.
///
/// ```
/// use wgrad::data::{Arrays, Source, Values};
///
/// // Four samples of two floats, and a number to learn for each.
/// let inputs = Values::Floats(vec![0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
/// let sums = Values::Floats(vec![0.0, 1.0, 1.0, 2.0]);
/// let arrays = Arrays::new([2], inputs)?.numbers([1], sums)?;
/// assert_eq!(arrays.len(), 4);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Arrays {
    input: Array,
    inputs: Values,
    target: Target,
    targets: Values,
}

impl Arrays {
    /// Samples of that shape that are their own targets, as for an autoencoder.
    ///
    /// # Errors
    /// The inputs are integers, or no whole samples.
    pub fn new(sample: impl Into<Shape>, inputs: Values) -> Result<Self> {
        let input = Array::new(sample, inputs.element());
        if input.element == Element::U32 {
            return Err(Error::value("inputs", "bytes or floats", "integers"));
        }
        let len = input.bytes();
        if len == 0 || !inputs.bytes().len().is_multiple_of(len) {
            let expected = format!("whole samples of {}", input.shape);
            let got = inputs.bytes().len() / input.element.bytes();
            return Err(Error::value("inputs", expected, format!("{got} values")));
        }
        Ok(Arrays {
            input,
            inputs,
            target: Target::Input,
            targets: Values::Bytes(Vec::new()),
        })
    }

    /// Sets the class of each sample, with an empty shape, or of each of its pixels.
    ///
    /// # Errors
    /// The labels are floats, do not match the samples in number, or one is not below `classes`.
    pub fn classes(self, shape: impl Into<Shape>, labels: Values, classes: usize) -> Result<Self> {
        if labels.element() == Element::F32 {
            return Err(Error::value("labels", "bytes or integers", "floats"));
        }
        if let Some(largest) = labels
            .largest()
            .filter(|&largest| largest as usize >= classes)
        {
            return Err(Error::value("labels", format!("below {classes}"), largest));
        }
        let array = Array::new(shape, labels.element());
        self.targets("labels", Target::Classes(array, classes), labels)
    }

    /// Sets the numbers to learn for each sample, of that shape.
    ///
    /// # Errors
    /// The numbers are integers, or do not match the samples in number.
    pub fn numbers(self, shape: impl Into<Shape>, numbers: Values) -> Result<Self> {
        if numbers.element() == Element::U32 {
            return Err(Error::value("targets", "bytes or floats", "integers"));
        }
        let array = Array::new(shape, numbers.element());
        self.targets("targets", Target::Numbers(array), numbers)
    }

    fn targets(self, what: &str, target: Target, targets: Values) -> Result<Self> {
        let each = target.array().map_or(0, Array::bytes);
        if targets.bytes().len() != self.len().saturating_mul(each) {
            let element = targets.element().bytes();
            let expected = format!(
                "{} values, {} for each of {} samples",
                self.len() * each / element,
                each / element,
                self.len()
            );
            return Err(Error::value(
                what,
                expected,
                targets.bytes().len() / element,
            ));
        }
        Ok(Arrays {
            target,
            targets,
            ..self
        })
    }
}

impl Source for Arrays {
    fn len(&self) -> usize {
        self.inputs.bytes().len() / self.input.bytes()
    }

    fn input(&self) -> Array {
        self.input.clone()
    }

    fn target(&self) -> Target {
        self.target.clone()
    }

    fn read(&self, samples: &[u32], inputs: &mut [u8], targets: &mut [u8]) -> Result<()> {
        let copy = |from: &[u8], to: &mut [u8], len: usize| {
            for (&sample, to) in samples.iter().zip(to.chunks_exact_mut(len)) {
                to.copy_from_slice(&from[sample as usize * len..][..len]);
            }
        };
        copy(self.inputs.bytes(), inputs, self.input.bytes());
        if let Some(array) = self.target.array() {
            copy(self.targets.bytes(), targets, array.bytes());
        }
        Ok(())
    }
}
