//! Single elements of an op's outputs, by its definition in plain loops: for spot checks of ops
//! that are too large for the reference.

use super::bound::{EPSILON, ErrorBound, SMALLEST_NORMAL, sum_error};
use crate::ops::Step;

/// Sums of integers are exact in f32, in any order, up to this sum of magnitudes.
const EXACT_INTEGERS: f64 = (1u32 << 24) as f64;

/// A binding's words, by index.
pub type Words<'a> = &'a (dyn Fn(usize) -> u32 + Sync);

/// The inputs of [`Op::element`](crate::ops::Op::element).
pub struct Elements<'a> {
    /// Inputs, in binding order.
    pub inputs: Vec<Words<'a>>,
    /// Outputs as they were before the op, in binding order.
    pub outputs: Vec<Words<'a>>,
    /// The step.
    pub step: &'a Step,
}

impl Elements<'_> {
    /// Element `at` of an input of words.
    pub fn word(&self, input: usize, at: usize) -> u32 {
        self.inputs[input](at)
    }

    /// Element `at` of an input of floats.
    pub fn float(&self, input: usize, at: usize) -> f64 {
        f64::from(f32::from_bits(self.word(input, at)))
    }

    /// Byte `at` of an input of bytes, four to a word.
    pub fn byte(&self, input: usize, at: usize) -> u8 {
        self.word(input, at / 4).to_le_bytes()[at % 4]
    }

    /// Element `at` of an output of floats, before the op.
    pub fn before(&self, output: usize, at: usize) -> f64 {
        f64::from(f32::from_bits(self.outputs[output](at)))
    }
}

/// The expected value of one element of an output.
#[derive(Debug, Clone, PartialEq)]
pub enum Element {
    /// These bits.
    Word(u32),
    /// Any of these words: an index whose choice depends on inexact values.
    AnyOf(Vec<u32>),
    /// A float.
    Float {
        /// The exact value, not rounded.
        value: f64,
        /// The allowed error of a kernel against the value rounded to f32.
        error: f64,
    },
}

impl Element {
    /// The bits of a float that is only moved.
    pub fn moved(value: f64) -> Self {
        Element::Word((value as f32).to_bits())
    }

    /// The error of `found` as a fraction of the bound; ≤ 1 passes.
    pub fn error_ratio(&self, found: u32) -> f64 {
        let right = match self {
            Element::Word(word) => *word == found,
            Element::AnyOf(words) => words.contains(&found),
            Element::Float { value, error } => {
                let (got, expected) = (f32::from_bits(found), *value as f32);
                if got.to_bits() == expected.to_bits() || (got.is_nan() && expected.is_nan()) {
                    return 0.0;
                }
                let off = (f64::from(got) - f64::from(expected)).abs();
                let ratio = if off == 0.0 { 0.0 } else { off / error };
                return if ratio.is_nan() { f64::INFINITY } else { ratio };
            }
        };
        if right { 0.0 } else { f64::INFINITY }
    }

    /// The element as a float, for reports.
    pub fn to_f32(&self) -> f32 {
        match self {
            Element::Word(word) => f32::from_bits(*word),
            Element::AnyOf(words) => f32::from_bits(words.first().copied().unwrap_or(0)),
            Element::Float { value, .. } => *value as f32,
        }
    }
}

/// A sum of terms, with the quantities that bound its error.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum {
    /// Σ terms.
    pub value: f64,
    /// Σ |term|.
    magnitude: f64,
    /// The part of the magnitude that is lost if subnormal factors are flushed to zero.
    flushed: f64,
    has_fractions: bool,
}

impl Sum {
    /// Adds a value.
    pub fn add(&mut self, term: f64) {
        self.value += term;
        self.magnitude += term.abs();
        self.has_fractions |= term.fract() != 0.0;
    }

    /// Adds a product, exact in f64; either factor may be flushed.
    pub fn add_product(&mut self, a: f64, b: f64) {
        self.add(a * b);
        let is_lost = |x: f64| x.abs() < SMALLEST_NORMAL;
        if is_lost(a) || is_lost(b) {
            self.flushed += (a * b).abs();
        }
    }

    /// The sum of both.
    pub fn plus(mut self, other: Sum) -> Sum {
        self.value += other.value;
        self.magnitude += other.magnitude;
        self.flushed += other.flushed;
        self.has_fractions |= other.has_fractions;
        self
    }

    /// Whether every kernel gets the same bits, in any order: the terms are integers, and all
    /// partial sums have at most 24 bits.
    pub fn is_exact(&self) -> bool {
        !self.has_fractions && self.magnitude <= EXACT_INTEGERS
    }

    /// The allowed error of a sum of at most `terms` terms: see [`ErrorBound::Products`].
    pub fn error(&self, terms: usize) -> f64 {
        if self.is_exact() {
            return 0.0;
        }
        sum_error(terms, self.magnitude) + self.flushed
    }

    /// The sum under one of the op's bounds.
    pub fn within(self, bound: &ErrorBound) -> Element {
        let value = self.value;
        let error = match *bound {
            ErrorBound::Exact | ErrorBound::OneOf(_) | ErrorBound::Each(_) => {
                return Element::moved(value);
            }
            ErrorBound::Sum { terms } | ErrorBound::Products { terms } => self.error(terms),
            ErrorBound::Relative(_) if self.is_exact() => 0.0,
            ErrorBound::Relative(n) => n * EPSILON * value.abs() + (n + 2.0) * SMALLEST_NORMAL,
            ErrorBound::Absolute(error) => error + SMALLEST_NORMAL,
        };
        Element::Float { value, error }
    }
}

impl Sum {
    /// The same after ReLU, which adds no error.
    pub(in crate::ops) fn rectified(self, bound: &ErrorBound) -> Element {
        match self.within(bound) {
            Element::Float { value, error } if !passes(value) => {
                Element::Float { value: 0.0, error }
            }
            other => other,
        }
    }
}

impl From<f64> for Sum {
    /// A single value.
    fn from(value: f64) -> Self {
        let mut sum = Sum::default();
        sum.add(value);
        sum
    }
}

/// Whether ReLU passes a value: above zero, or NaN.
#[inline(always)]
pub(in crate::ops) fn passes(value: f64) -> bool {
    (value > 0.0) | value.is_nan()
}

/// The elements at the corners and on the edges of tiles in a batch of (rows, columns), in the
/// first and the last matrix: those that an error in a kernel's edge handling affects.
pub(in crate::ops) fn tile_edges(batch: usize, sizes: [usize; 2], tile: [usize; 2]) -> Vec<usize> {
    let along = |axis: usize| {
        let (size, tile) = (sizes[axis], tile[axis]);
        let last = (size - 1) / tile * tile;
        let mut places = vec![0, tile - 1, tile, last.saturating_sub(1), last, size - 1];
        places.retain(|&place| place < size);
        places.sort_unstable();
        places.dedup();
        places
    };
    let (rows, columns) = (along(0), along(1));
    let mut edges = Vec::new();
    for matrix in [0, batch - 1] {
        for row in &rows {
            edges.extend(
                columns
                    .iter()
                    .map(|n| (matrix * sizes[0] + row) * sizes[1] + n),
            );
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_small_integers_are_exact_and_others_are_bounded() {
        let mut sum = Sum::default();
        for _ in 0..100 {
            sum.add_product(2.0, -1.0);
        }
        let products = ErrorBound::Products { terms: 100 };
        let exact = Element::Float {
            value: -200.0,
            error: 0.0,
        };
        assert_eq!(sum.within(&products), exact);
        assert_eq!(exact.error_ratio((-200f32).to_bits()), 0.0);
        assert_eq!(exact.error_ratio((-199f32).to_bits()), f64::INFINITY);
        sum.add(0.5);
        assert!(sum.error(101) > 0.0);
        sum = Sum::default();
        sum.add(EXACT_INTEGERS + 1.0);
        assert!(sum.error(1) > 0.0);
    }

    /// Sums over black and white pixels are exact.
    #[test]
    fn a_white_pixel_is_one() {
        assert_eq!(255f32 * (1.0 / 255.0), 1.0);
    }

    #[test]
    fn edges_lie_inside_and_hold_the_corners() {
        for (rows, columns) in [(1, 1), (8, 9), (33, 4), (64, 65)] {
            let edges = tile_edges(3, [rows, columns], [8, 4]);
            assert!(edges.iter().all(|&at| at < 3 * rows * columns));
            for corner in [0, columns - 1, 3 * rows * columns - 1] {
                assert!(edges.contains(&corner), "{rows}×{columns}: {corner}");
            }
        }
    }
}
