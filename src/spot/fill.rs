//! The contents of an op's tensors during its check.
//!
//! Tensors may be large, and a check must be fast: so most repeat a pattern, which the device
//! copies.

use crate::ops::Content;
use crate::plan::TensorId;

/// Words of a pattern: a prime, so that no stride is a multiple of it and a wrong index reads
/// another word.
pub(super) const PATTERN: usize = 65_521;

/// A pseudo-random word: the output function of PCG (O'Neill, 2014) of a counter.
pub(super) fn random(seed: u32, index: usize) -> u32 {
    let counter = (index as u32).wrapping_add(seed);
    let state = counter
        .wrapping_mul(747_796_405)
        .wrapping_add(2_891_336_453);
    let word = (state >> ((state >> 28) + 4) ^ state).wrapping_mul(277_803_737);
    word >> 22 ^ word
}

/// A tensor and its contents.
pub(super) struct Filled {
    pub tensor: TensorId,
    /// The tensor whose words it repeats, if it is longer than a pattern.
    pub pattern: Option<TensorId>,
    pub len: usize,
    pub seed: u32,
    pub content: Content,
}

impl Filled {
    /// Whether `len` words of `content` repeat a pattern. Indices into other tensors do not.
    pub fn repeats(content: &Content, len: usize) -> bool {
        len > PATTERN && !matches!(content, Content::Any | Content::Words(_))
    }

    /// The word at `index`.
    pub fn word(&self, index: usize) -> u32 {
        let place = match self.pattern {
            Some(_) => index % PATTERN,
            None => index,
        };
        let word = random(self.seed, place);
        match &self.content {
            // −2, −1, 1 and 2: no product is zero, and sums of many products are exact.
            Content::Floats => {
                let magnitude = 1.0 + (word >> 1 & 1) as f32;
                (if word & 1 == 1 { -magnitude } else { magnitude }).to_bits()
            }
            Content::Positive => (1.0 + (word & 1) as f32).to_bits(),
            // In [−1, 1), with 24 bits, so that nothing is rounded.
            Content::Spread => ((word >> 8) as f32 / (1u32 << 23) as f32 - 1.0).to_bits(),
            // Black and white: as floats 0 and 1, whose sums are exact.
            Content::Pixels => (word & 0x0101_0101) * 0xff,
            Content::Any => word,
            Content::Words(make) => make(index, word),
        }
    }

    /// The words that the host writes, and their tensor: the pattern, or all words.
    pub fn written(&self) -> (TensorId, Vec<u8>) {
        let (tensor, len) = match self.pattern {
            Some(pattern) => (pattern, PATTERN),
            None => (self.tensor, self.len),
        };
        let words: Vec<u32> = (0..len).map(|index| self.word(index)).collect();
        (tensor, bytemuck::cast_slice(&words).to_vec())
    }
}
