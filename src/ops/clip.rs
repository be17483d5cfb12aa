//! Clips gradients in their arena: by their norm, or each value.

use rayon::prelude::*;

use super::bound::{EPSILON, SMALLEST_NORMAL};
use super::case::{Case, Random};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::{
    Args, Binding, Bindings, Content, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude,
    Shader, Sum, nested_loops,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation],
    include_str!("../../shaders/clip.wgsl"),
);

/// What PyTorch's `clip_grad_norm_` adds to the norm.
const NORM_EPS: f64 = 1e-6;

/// `squares[p] = Σᵢ gradients[p + i·P]²`: P partial sums of squares, each in its order.
#[derive(Debug, Clone)]
pub struct SumSquares {
    /// Elements of the arena.
    pub len: usize,
    /// P: partial sums.
    pub parts: usize,
}

impl SumSquares {
    /// As many partial sums as each has terms, so that neither they nor their sum take long.
    pub fn new(len: usize) -> Self {
        let parts = (len as f64).sqrt().ceil() as usize;
        SumSquares {
            len,
            parts: parts.max(1),
        }
    }

    fn bound(&self) -> ErrorBound {
        let terms = self.len.div_ceil(self.parts);
        ErrorBound::Products { terms }
    }
}

/// `g *= min(limit / (√squared_norm + 1e-6), 1)`: PyTorch's `clip_grad_norm_`.
#[derive(Debug, Clone)]
pub struct ClipNorm {
    /// Elements of the arena.
    pub len: usize,
    /// The largest norm of all gradients; above zero.
    pub limit: f32,
}

/// `g = max(−limit, min(g, limit))`: PyTorch's `clip_grad_value_`. NaN stays.
#[derive(Debug, Clone)]
pub struct ClipValue {
    /// Elements of the arena.
    pub len: usize,
    /// The largest magnitude of a gradient; above zero.
    pub limit: f32,
}

impl Op for SumSquares {
    fn name(&self) -> &'static str {
        "sum_squares"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("gradients", self.len),
            Binding::write("squares", self.parts),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.parts)
            .constants([("LEN", self.len as f64), ("PARTS", self.parts as f64)])
            .longest_loop(nested_loops(&[self.len.div_ceil(self.parts)]))
    }

    fn cost(&self) -> Cost {
        Cost::new(2 * self.len, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let gradients = args.input(0);
        let terms = self.len.div_ceil(self.parts);
        let squares = args.output().par_iter_mut().enumerate();
        let squares = squares.with_min_len(min_task_len(ELEMENT * terms));
        squares.for_each(|(part, square)| {
            let terms = gradients.iter().skip(part).step_by(self.parts);
            let terms = terms.map(|&gradient| f64::from(gradient) * f64::from(gradient));
            *square = terms.sum::<f64>() as f32;
        });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let mut sum = Sum::default();
        for at in (index..self.len).step_by(self.parts) {
            let gradient = args.float(0, at);
            sum.add_product(gradient, gradient);
        }
        sum.within(&self.bound())
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![self.bound()]
    }
}

impl ClipNorm {
    /// The factor of all gradients.
    fn factor(&self, squared_norm: f64) -> f64 {
        (f64::from(self.limit) / (squared_norm.sqrt() + NORM_EPS)).min(1.0)
    }
}

impl Op for ClipNorm {
    fn name(&self) -> &'static str {
        "clip_norm"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("squared_norm", 1).of(Content::Positive),
            Binding::update("gradients", self.len),
        ])
    }

    fn launch(&self) -> Launch {
        let constants = [("LEN", self.len as f64), ("LIMIT", f64::from(self.limit))];
        Launch::new(SHADER, self.len).constants(constants)
    }

    fn cost(&self) -> Cost {
        Cost::new(4 * self.len, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let factor = self.factor(args.input(0)[0].into());
        let gradients = args.output().par_iter_mut();
        let gradients = gradients.with_min_len(min_task_len(ELEMENT));
        gradients.for_each(|gradient| *gradient = (f64::from(*gradient) * factor) as f32);
    }

    /// Relative roundings: 10 of the root, which may be 1 / `inverseSqrt`, 2 of 1e-6 and its sum, 5 of
    /// the quotient, the product, the reference, and one for those of second order. A root below the
    /// smallest normal's adds less than ε to 1e-6. The minimum with 1 adds none. A subnormal factor
    /// may be flushed.
    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let before = args.before(0, index);
        let value = before * self.factor(args.float(0, 0));
        let error = 20.0 * EPSILON * value.abs() + (22.0 + before.abs()) * SMALLEST_NORMAL;
        Element::Float { value, error }
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        ErrorBound::of_elements(self, args)
    }
}

impl ClipValue {
    fn clipped(&self, gradient: f32) -> f32 {
        match gradient.abs() > self.limit {
            true => self.limit.copysign(gradient),
            false => gradient,
        }
    }
}

impl Op for ClipValue {
    fn name(&self) -> &'static str {
        "clip_value"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([Binding::update("gradients", self.len)])
    }

    fn launch(&self) -> Launch {
        let constants = [("LEN", self.len as f64), ("LIMIT", f64::from(self.limit))];
        Launch::new(SHADER, self.len).constants(constants)
    }

    fn cost(&self) -> Cost {
        Cost::new(self.len, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        for gradient in args.output() {
            *gradient = self.clipped(*gradient);
        }
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let before = f32::from_bits(args.outputs[0](index));
        Element::Word(self.clipped(before).to_bits())
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Exact]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let len = random.size(300);
    let parts = random.size(len);
    let squares = match random.flag() {
        true => SumSquares::new(len),
        false => SumSquares { len, parts },
    };
    let limit = [0.5, 100.0, 1e-3][random.below(3)];
    // About as large as the norm is allowed to be, or zero, or far from it.
    let norm = [limit * 1.5, limit, limit * 0.75, 0.0, 1e-30, 1e15][random.below(6)];
    let by_norm = ClipNorm { len, limit };
    vec![
        Case::of_floats(squares, random),
        Case::of(by_norm, vec![vec![(norm * norm).to_bits()]], random),
        Case::of(ClipValue { len, limit }, Vec::new(), random),
    ]
}
