//! The sum of two arrays: joins the branches of a residual block, and the gradients of a tensor
//! that two layers read.

use rayon::prelude::*;

use super::case::{Case, Random, Read};
use super::element::passes;
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude, ReduceSum,
    ReluBackward, Shader, Sum, flag,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation, Prelude::Loads, Prelude::Relu],
    include_str!("../../shaders/add.wgsl"),
);

/// `sum = a + b`, or with `relu` `max(0, a + b)`, where NaN stays NaN.
#[derive(Debug, Clone)]
pub struct Add {
    /// Elements.
    pub len: usize,
    /// Whether ReLU follows.
    pub relu: bool,
}

impl Add {
    /// Elements per invocation: four if `len` is a multiple of four.
    fn at_once(&self) -> usize {
        if self.len.is_multiple_of(4) { 4 } else { 1 }
    }
}

impl Op for Add {
    fn name(&self) -> &'static str {
        if self.at_once() == 4 { "add_4" } else { "add" }
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("a", self.len),
            Binding::read("b", self.len),
            Binding::write("sum", self.len),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.len / self.at_once())
            .constants([("LEN", self.len as f64), ("RELU", flag(self.relu))])
    }

    fn cost(&self) -> Cost {
        Cost::new(self.len, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (a, b) = (args.input(0), args.input(1));
        args.output()
            .par_iter_mut()
            .zip(a.par_iter().zip(b))
            .with_min_len(min_task_len(ELEMENT))
            .for_each(|(sum, (&a, &b))| {
                let total = f64::from(a) + f64::from(b);
                *sum = if self.relu && !passes(total) {
                    0.0
                } else {
                    total as f32
                };
            });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let mut sum = Sum::from(args.float(0, index));
        sum.add(args.float(1, index));
        let bound = ErrorBound::Relative(0.0);
        match self.relu {
            true => sum.rectified(&bound),
            false => sum.within(&bound),
        }
    }

    /// One correctly rounded addition, except for subnormals, which may be flushed; ReLU, which
    /// tests the bits of the sum, is 1-Lipschitz.
    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Relative(0.0)]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let len = random.size(300);
    let mut case = |relu| {
        let a = random.floats(len);
        // Odd and even multiples of the spacing, so that no sum is at ReLU's kink.
        let b = random.floats(len).into_iter();
        let b = b.map(|word| (2.0 * f32::from_bits(word)).to_bits());
        Case::of(Add { len, relu }, vec![a, b.collect()], random)
    };
    let (plain, rectified) = (case(false), case(true));
    // The gradient of a sum is the upstream gradient, which a sum of one part copies.
    let (copied, whole) = (ReduceSum::new(1, len), [Read::OutputGradient]);
    let (masked, passed) = (
        ReluBackward { len },
        [Read::Output(0), Read::OutputGradient],
    );
    vec![
        plain
            .with_gradient(0, copied.clone(), &whole)
            .with_gradient(1, copied, &whole),
        rectified
            .with_gradient(0, masked.clone(), &passed)
            .with_gradient(1, masked, &passed),
    ]
}
