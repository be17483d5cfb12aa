//! Adds partial results in a fixed order.

use rayon::prelude::*;

use super::case::{Case, Random};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude, Shader,
    Slot, Split, Sum, flag, nested_loops,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation],
    include_str!("../../shaders/reduce.wgsl"),
);

/// Sums that the reference computes at once.
const PIECE: usize = 256;

/// `sum[g, s, i] (+)= Σ partials[g, p, i]` over the parts p of share `s`, from the first to the
/// last, whatever the adapter. Usually there is one group and one share: all parts are added.
#[derive(Debug, Clone)]
pub struct ReduceSum {
    /// G: independent arrays of parts.
    pub groups: usize,
    /// P: the parts of each group.
    pub parts: usize,
    /// Elements of each part.
    pub len: usize,
    /// S: the shares into which the parts of a group are cut, each a partial sum.
    pub split: usize,
    /// Add to the output instead of overwriting it.
    pub accumulate: bool,
}

impl ReduceSum {
    /// `sum[i] = Σₚ partials[p, i]`: `parts` parts of `len` elements.
    pub fn new(parts: usize, len: usize) -> Self {
        ReduceSum::of_groups(1, parts, len)
    }

    /// `sum[g, i] = Σₚ partials[g, p, i]`.
    pub fn of_groups(groups: usize, parts: usize, len: usize) -> Self {
        ReduceSum {
            groups,
            parts,
            len,
            split: 1,
            accumulate: false,
        }
    }

    /// Parts per share; the last may have fewer.
    fn split_len(&self) -> usize {
        self.parts.div_ceil(self.split)
    }

    fn bound(&self) -> ErrorBound {
        let terms = self.split_len() + 1;
        ErrorBound::Sum { terms }
    }
}

impl Op for ReduceSum {
    fn name(&self) -> &'static str {
        "reduce_sum"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("partials", self.groups * self.parts * self.len),
            Binding::sum("sum", self.groups * self.split * self.len, self.accumulate),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.groups * self.split * self.len)
            .constants([
                ("GROUPS", self.groups as f64),
                ("PARTS", self.parts as f64),
                ("LEN", self.len as f64),
                ("SPLIT", self.split as f64),
                ("ACCUMULATE", flag(self.accumulate)),
            ])
            .longest_loop(nested_loops(&[self.split_len()]))
    }

    /// Sums of shares, and their sum.
    fn split(&self, longest: u64) -> Option<Split> {
        // The last iteration of a loop only finds its end.
        let shares = (self.parts as u64).div_ceil(longest.max(2) - 1) as usize;
        if self.split > 1 || shares < 2 || shares >= self.parts {
            return None;
        }
        let mut split = Split::new();
        let partial = split.scratch(self.groups * shares * self.len);
        let by_share = ReduceSum {
            split: shares,
            accumulate: false,
            ..self.clone()
        };
        let all = ReduceSum {
            parts: shares,
            ..self.clone()
        };
        split.step(by_share, &[Slot::Input(0)], &[partial]);
        split.step(all, &[partial], &[Slot::Output(0)]);
        Some(split)
    }

    fn cost(&self) -> Cost {
        let additions = self.groups * self.parts * self.len;
        Cost::new(additions, &self.bindings())
    }

    /// In pieces that stay in the cache while the parts are added.
    fn reference(&self, args: &mut Args<'_>) {
        let partials = args.input(0);
        let shares = args.output().chunks_mut(self.len).enumerate();
        for (share, output) in shares {
            let (group, share) = (share / self.split, share % self.split);
            let begin = (share * self.split_len()).min(self.parts);
            let end = (begin + self.split_len()).min(self.parts);
            let first = group * self.parts;
            let partials = &partials[(first + begin) * self.len..(first + end) * self.len];
            let pieces = output.par_chunks_mut(PIECE).enumerate();
            let pieces = pieces.with_min_len(min_task_len(ELEMENT * PIECE * self.parts));
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
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let (i, share) = (index % self.len, index / self.len % self.split);
        let group = index / (self.len * self.split);
        let begin = share * self.split_len();
        let mut sum = Sum::default();
        if self.accumulate {
            sum.add(args.before(0, index));
        }
        for part in begin..(begin + self.split_len()).min(self.parts) {
            sum.add(args.float(0, (group * self.parts + part) * self.len + i));
        }
        sum.within(&self.bound())
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![self.bound()]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let parts = random.size(40);
    let reduce = ReduceSum {
        groups: [1, 1, 3][random.below(3)],
        parts,
        len: random.size(70),
        split: [1, random.size(parts)][random.below(2)],
        accumulate: random.flag(),
    };
    vec![Case::of_floats(reduce, random)]
}
