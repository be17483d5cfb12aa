//! Smooth activations and leaky ReLU, and their gradients.

use super::case::{Case, Random, Read};
use super::reference::activations::Approximation;
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude, Shader,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation, Prelude::Relu],
    include_str!("../../shaders/activation.wgsl"),
);

/// Largest third derivative of any activation, tanh's at 0.
const THIRD_DERIVATIVE: f64 = 2.0;

/// A function of one value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// x above zero, else slope·x.
    LeakyRelu(f32),
    /// 1/(1 + e⁻ˣ).
    Sigmoid,
    /// (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ).
    Tanh,
    /// x·sigmoid(x), also called swish (Ramachandran et al., 2017).
    Silu,
    /// x·Φ(x), with the normal distribution's integral Φ (Hendrycks and Gimpel, 2016).
    Gelu,
    /// GELU approximated as x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2.
    GeluTanh,
}

impl Activation {
    /// All of them, leaky ReLU with PyTorch's default slope.
    pub const ALL: [Activation; 6] = [
        Activation::LeakyRelu(0.01),
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Silu,
        Activation::Gelu,
        Activation::GeluTanh,
    ];

    fn constants(self, len: usize) -> [(&'static str, f64); 3] {
        let (number, slope) = match self {
            Activation::LeakyRelu(slope) => (0.0, slope.into()),
            Activation::Sigmoid => (1.0, 0.0),
            Activation::Tanh => (2.0, 0.0),
            Activation::Silu => (3.0, 0.0),
            Activation::Gelu => (4.0, 0.0),
            Activation::GeluTanh => (5.0, 0.0),
        };
        [("LEN", len as f64), ("FUNCTION", number), ("SLOPE", slope)]
    }
}

/// `output = f(input)`; NaN stays NaN.
#[derive(Debug, Clone)]
pub struct ActivationForward {
    /// f.
    pub function: Activation,
    /// Elements.
    pub len: usize,
}

impl Op for ActivationForward {
    fn name(&self) -> &'static str {
        "activation_forward"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("input", self.len),
            Binding::write("output", self.len),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.len).constants(self.function.constants(self.len))
    }

    fn cost(&self) -> Cost {
        Cost::new(16 * self.len, &self.bindings())
    }

    fn third_derivative(&self) -> f64 {
        THIRD_DERIVATIVE
    }

    fn reference(&self, args: &mut Args<'_>) {
        let input = args.input(0);
        for (output, &x) in args.output().iter_mut().zip(input) {
            *output = self.function.value(x.into()).value as f32;
        }
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        self.function.value(args.float(0, index)).into()
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        ErrorBound::of_elements(self, args)
    }
}

/// `d_input = d_output·f'(input)`; leaky ReLU has its slope at 0, as in PyTorch.
#[derive(Debug, Clone)]
pub struct ActivationBackward {
    /// f.
    pub function: Activation,
    /// Elements.
    pub len: usize,
}

impl Op for ActivationBackward {
    fn name(&self) -> &'static str {
        "activation_backward"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("input", self.len),
            Binding::read("d_output", self.len),
            Binding::write("d_input", self.len),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.len).constants(self.function.constants(self.len))
    }

    fn cost(&self) -> Cost {
        Cost::new(24 * self.len, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (input, d_output) = (args.input(0), args.input(1));
        let both = input.iter().zip(d_output);
        for (d_input, (&x, &d_output)) in args.output().iter_mut().zip(both) {
            *d_input = self.d_input(x.into(), d_output.into()).value as f32;
        }
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        self.d_input(args.float(0, index), args.float(1, index))
            .into()
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        ErrorBound::of_elements(self, args)
    }
}

impl ActivationBackward {
    fn d_input(&self, x: f64, d_output: f64) -> Approximation {
        self.function.slope(x).times(d_output)
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let reads = [Read::Input(0), Read::OutputGradient];
    let mut cases = Vec::new();
    for function in Activation::ALL {
        let len = random.size(300);
        let backward = ActivationBackward { function, len };
        let alone = Case::of_floats(backward.clone(), random);
        let forward = Case::of_floats(ActivationForward { function, len }, random);
        cases.extend([
            forward.with_gradient(0, backward.clone(), &reads),
            alone.with_gradient(1, backward, &[Read::Input(0), Read::OutputGradient]),
        ]);
    }
    cases
}
