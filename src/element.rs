//! The elements of arrays.

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
