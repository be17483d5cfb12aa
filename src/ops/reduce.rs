//! Adds partial results in a fixed order.

use rayon::prelude::*;

use super::arithmetic::{ELEMENT, items_of_a_task};
use super::case::{Case, Random};
use super::{Args, Bindings, Cost, ErrorBound, Op, flag};

/// Sums that the reference makes at once.
const PIECE: usize = 256;

/// `sum[i] (+)= Σₛ partials[s, i]`, from the first part to the last, whatever the adapter.
#[derive(Debug, Clone)]
pub struct ReduceSum {
    /// S: how many parts.
    pub parts: usize,
    /// Elements of each.
    pub len: usize,
    /// Add to what the output holds instead of overwriting it.
    pub accumulate: bool,
}

impl Op for ReduceSum {
    fn name(&self) -> &'static str {
        "reduce_sum"
    }

    fn shader(&self) -> &'static str {
        include_str!("../../shaders/reduce.wgsl")
    }

    fn bindings(&self) -> Bindings {
        Bindings {
            inputs: vec![("partials", self.parts * self.len)],
            outputs: vec![("sum", self.len)],
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("PARTS", self.parts as f64),
            ("LEN", self.len as f64),
            ("ACCUMULATE", flag(self.accumulate)),
        ]
    }

    fn invocations(&self) -> u64 {
        self.len as u64
    }

    fn cost(&self) -> Cost {
        Cost::new(self.parts * self.len, &self.bindings())
    }

    /// In pieces, each of which stays in the cache while part after part is added.
    fn reference(&self, args: &mut Args<'_>) {
        let partials = args.input(0);
        let pieces = args.output().par_chunks_mut(PIECE).enumerate();
        let pieces = pieces.with_min_len(items_of_a_task(ELEMENT * PIECE * self.parts));
        pieces.for_each(|(i, piece)| {
            let mut sums = [0f64; PIECE];
            if self.accumulate {
                for (sum, &before) in sums.iter_mut().zip(piece.iter()) {
                    *sum = f64::from(before);
                }
            }
            for part in partials.chunks(self.len) {
                for (sum, &value) in sums.iter_mut().zip(&part[i * PIECE..]) {
                    *sum += f64::from(value);
                }
            }
            for (value, sum) in piece.iter_mut().zip(sums) {
                *value = sum as f32;
            }
        });
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        let terms = self.parts + 1;
        vec![ErrorBound::Sum { terms }]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let reduce = ReduceSum {
        parts: random.size(40),
        len: random.size(70),
        accumulate: random.flag(),
    };
    vec![Case::of_floats(reduce, random)]
}
