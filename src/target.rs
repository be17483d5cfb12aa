//! The arrays of a sample, and what a model is trained to give for it.

use std::fmt;

use crate::shape::Shape;

/// The layout of a tensor's elements in 32-bit words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// One f32 per word.
    F32,
    /// One u32 per word.
    U32,
    /// Four bytes per word, the first in the lowest bits.
    U8,
}

impl Element {
    /// The number of words for `elements` elements.
    pub fn words(self, elements: usize) -> usize {
        match self {
            Element::F32 | Element::U32 => elements,
            Element::U8 => elements.div_ceil(4),
        }
    }

    /// The number of bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            Element::F32 | Element::U32 => 4,
            Element::U8 => 1,
        }
    }
}

/// The array that each sample has: its extents, and the layout of its values in a
/// [`Source`](crate::data::Source).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    /// Its extents, without the batch.
    pub shape: Shape,
    /// Its elements. Bytes of inputs stand for their 255ths.
    pub element: Element,
}

impl Array {
    /// An array of that shape and element.
    pub fn new(shape: impl Into<Shape>, element: Element) -> Self {
        let shape = shape.into();
        Array { shape, element }
    }

    /// The bytes of one sample's array.
    pub fn bytes(&self) -> usize {
        self.shape.elements().saturating_mul(self.element.bytes())
    }
}

/// What a model is trained to give for a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One of so many classes, or the class of each pixel: integers of any shape; `()` is one class
    /// for the whole sample.
    Classes(Array, usize),
    /// Numbers, of the shape of the model's output; bytes stand for their 255ths.
    Numbers(Array),
    /// The sample itself, as for an autoencoder.
    Input,
}

impl Target {
    /// A class of `classes` for each sample, in a byte.
    pub fn class(classes: usize) -> Self {
        Target::Classes(Array::new([], Element::U8), classes)
    }

    /// The array that is stored for each sample; `None` if it is the sample itself.
    pub fn array(&self) -> Option<&Array> {
        match self {
            Target::Classes(array, _) | Target::Numbers(array) => Some(array),
            Target::Input => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Classes(array, classes) => write!(f, "{classes} classes, {}", array.shape),
            Target::Numbers(array) => write!(f, "numbers, {}", array.shape),
            Target::Input => f.write_str("the input"),
        }
    }
}
