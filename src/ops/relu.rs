//! `max(0, x)` and its gradient.

use super::case::{Case, Random, Read};
use super::element::passes;
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude, Shader,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation, Prelude::Relu],
    include_str!("../../shaders/relu.wgsl"),
);

/// `output = max(0, input)`; NaN stays NaN, as in PyTorch.
#[derive(Debug, Clone)]
pub struct ReluForward {
    /// Elements.
    pub len: usize,
}

impl Op for ReluForward {
    fn name(&self) -> &'static str {
        "relu_forward"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("input", self.len),
            Binding::write("output", self.len),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.len).constants([("LEN", self.len as f64)])
    }

    fn cost(&self) -> Cost {
        Cost::new(self.len, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let input = args.input(0);
        for (output, &value) in args.output().iter_mut().zip(input) {
            *output = if passes(value.into()) { value } else { 0.0 };
        }
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let value = args.float(0, index);
        if passes(value) {
            Element::Word(args.word(0, index))
        } else {
            Element::Word(0)
        }
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Exact]
    }
}

/// `d_input = d_output` where the forward output is above zero, else 0: PyTorch's rule at zero.
#[derive(Debug, Clone)]
pub struct ReluBackward {
    /// Elements.
    pub len: usize,
}

impl Op for ReluBackward {
    fn name(&self) -> &'static str {
        "relu_backward"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("activated", self.len),
            Binding::read("d_output", self.len),
            Binding::write("d_input", self.len),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.len).constants([("LEN", self.len as f64)])
    }

    fn cost(&self) -> Cost {
        Cost::new(self.len, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (activated, d_output) = (args.input(0), args.input(1));
        let gradients = activated.iter().zip(d_output);
        for (d_input, (&value, &gradient)) in args.output().iter_mut().zip(gradients) {
            *d_input = if passes(value.into()) { gradient } else { 0.0 };
        }
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let gradient = args.word(1, index);
        Element::Word(if passes(args.float(0, index)) {
            gradient
        } else {
            0
        })
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Exact]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let len = random.size(300);
    let reads = [Read::Output(0), Read::OutputGradient];
    let forward = Case::of_floats(ReluForward { len }, random);
    let backward = Case::of_floats(ReluBackward { len }, random);
    let linear = [Read::Input(0), Read::OutputGradient];
    vec![
        forward.with_gradient(0, ReluBackward { len }, &reads),
        backward.with_gradient(1, ReluBackward { len }, &linear),
    ]
}
