//! Adds partial results in a fixed order.

use rayon::prelude::*;

use super::case::{Case, Random};
use super::{Args, Bindings, Cost, ErrorBound, Op, flag};

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

    fn reference(&self, args: &mut Args<'_>) {
        let partials = args.input(0);
        args.output()
            .par_iter_mut()
            .enumerate()
            .for_each(|(i, sum)| {
                let before = if self.accumulate {
                    f64::from(*sum)
                } else {
                    0.0
                };
                let parts = partials[i..].iter().step_by(self.len);
                *sum = parts.fold(before, |sum, &part| sum + f64::from(part)) as f32;
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
