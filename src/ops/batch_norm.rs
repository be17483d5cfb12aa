//! Batch normalisation forward: with the statistics of the step, or with running ones.

use super::batch_norm_statistics::inverse_deviation;
use super::bound::{EPSILON, SMALLEST_NORMAL};
use super::case::{Case, Random, Read};
use super::element::passes;
use super::reference::planes::each_plane;
use super::sizes::batch_norm::Sizes;
use super::{
    Args, BatchNormBackwardSums, Binding, Bindings, Content, Cost, Element, Elements, ErrorBound,
    Launch, Op, Prelude, Shader, flag,
};

const FILE: &str = include_str!("../../shaders/batch_norm.wgsl");

pub(super) const SHADER: Shader = Shader::new(
    &[
        Prelude::Invocation,
        Prelude::Step,
        Prelude::Relu,
        Prelude::Ones,
    ],
    FILE,
);

const SHADER_OF_FOURS: Shader = Shader::new(
    &[
        Prelude::Invocation,
        Prelude::Step,
        Prelude::Relu,
        Prelude::Loads,
        Prelude::Fours,
    ],
    FILE,
);

fn shader(sizes: Sizes) -> Shader {
    match sizes.at_once() {
        4 => SHADER_OF_FOURS,
        _ => SHADER,
    }
}

/// `y = (x − mean)·inverse_deviation·weight + bias` per channel, followed by ReLU if `relu`, with
/// the statistics that [`BatchNormStatistics`](super::BatchNormStatistics) computes of the step.
/// Padding rows get zeros.
#[derive(Debug, Clone)]
pub struct BatchNormForward {
    /// N.
    pub rows: usize,
    /// C.
    pub channels: usize,
    /// H·W; 1 for features.
    pub area: usize,
    /// Whether ReLU follows.
    pub relu: bool,
}

/// `y = (x − running_mean)/√(running_var + eps)·weight + bias` per channel, followed by ReLU if
/// `relu`.
#[derive(Debug, Clone)]
pub struct BatchNormInfer {
    /// N.
    pub rows: usize,
    /// C.
    pub channels: usize,
    /// H·W; 1 for features.
    pub area: usize,
    /// Added to variances, above zero.
    pub eps: f32,
    /// Whether ReLU follows.
    pub relu: bool,
}

/// The terms of an element of y.
pub(super) struct Terms {
    pub x: f64,
    pub mean: f64,
    /// One over the standard deviation, and its relative error in the kernel.
    pub inverse: f64,
    pub inverse_error: f64,
    pub weight: f64,
    pub bias: f64,
}

impl Terms {
    pub fn value(&self) -> f64 {
        (self.x - self.mean) * self.inverse * self.weight + self.bias
    }

    /// A difference, two products, a sum and the reference round once each, in any order; two ε are
    /// for the products of errors. Flushing changes x, mean, their difference, the other factors
    /// and each product by at most η each, times their cofactors. ReLU adds no error.
    pub fn element(&self, relu: bool) -> Element {
        let value = self.value();
        let deviation = self.x - self.mean;
        let product = deviation * self.inverse * self.weight;
        let rounded = 7.0 * EPSILON * (product.abs() + self.bias.abs());
        let factors = [self.inverse, self.weight].map(|factor| 1.0 + factor.abs());
        let flushed = SMALLEST_NORMAL * (4.0 + deviation.abs()) * factors[0] * factors[1];
        Element::Float {
            value: if relu && !passes(value) { 0.0 } else { value },
            error: rounded + self.inverse_error * product.abs() + 2.0 * flushed,
        }
    }
}

/// Writes `value` of each element of a plane, after ReLU if `relu`.
#[inline(always)]
fn write(x: &[f32], y: &mut [f32], relu: bool, value: impl Fn(f64) -> f64) {
    for (y, &x) in y.iter_mut().zip(x) {
        let value = value(x.into());
        *y = if relu && !passes(value) {
            0.0
        } else {
            value as f32
        };
    }
}

impl BatchNormForward {
    fn sizes(&self) -> Sizes {
        Sizes::new(self.rows, self.channels, self.area)
    }
}

impl Op for BatchNormForward {
    fn name(&self) -> &'static str {
        "batch_norm_forward"
    }

    fn bindings(&self) -> Bindings {
        let (len, channels) = (self.sizes().len(), self.channels);
        Bindings::new([
            Binding::read("x", len),
            Binding::read("mean", channels),
            Binding::read("inverse_deviation", channels),
            Binding::read("weight", channels),
            Binding::read("bias", channels),
            Binding::write("y", len),
        ])
    }

    fn launch(&self) -> Launch {
        let mut constants = self.sizes().constants();
        constants.push(("RELU", flag(self.relu)));
        Launch::new(
            shader(self.sizes()),
            self.sizes().len() / self.sizes().at_once(),
        )
        .constants(constants)
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn cost(&self) -> Cost {
        Cost::new(4 * self.sizes().len(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (rows, x) = (args.step.rows as usize, args.input(0));
        let [mean, inverse, weight, bias] = [1, 2, 3, 4].map(|input| args.input(input));
        each_plane(
            self.sizes(),
            rows,
            args.output(),
            #[inline(always)]
            |c, first, y| {
                let [mean, inverse, weight, bias] =
                    [mean[c], inverse[c], weight[c], bias[c]].map(f64::from);
                write(
                    &x[first..],
                    y,
                    self.relu,
                    #[inline(always)]
                    |x| (x - mean) * inverse * weight + bias,
                );
            },
        );
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        if !self.sizes().is_real(index, args.step) {
            return Element::Word(0);
        }
        let channel = self.sizes().channel_of(index);
        let terms = Terms {
            x: args.float(0, index),
            mean: args.float(1, channel),
            inverse: args.float(2, channel),
            inverse_error: 0.0,
            weight: args.float(3, channel),
            bias: args.float(4, channel),
        };
        terms.element(self.relu)
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        ErrorBound::of_elements(self, args)
    }
}

impl BatchNormInfer {
    fn sizes(&self) -> Sizes {
        Sizes::new(self.rows, self.channels, self.area)
    }
}

impl Op for BatchNormInfer {
    fn name(&self) -> &'static str {
        "batch_norm_infer"
    }

    fn bindings(&self) -> Bindings {
        let (len, channels) = (self.sizes().len(), self.channels);
        Bindings::new([
            Binding::read("x", len),
            Binding::read("running_mean", channels),
            Binding::read("running_var", channels).of(Content::Positive),
            Binding::read("weight", channels),
            Binding::read("bias", channels),
            Binding::write("y", len),
        ])
    }

    fn launch(&self) -> Launch {
        let mut constants = self.sizes().constants();
        constants.push(("EPS", f64::from(self.eps)));
        constants.push(("RELU", flag(self.relu)));
        Launch::new(
            shader(self.sizes()),
            self.sizes().len() / self.sizes().at_once(),
        )
        .constants(constants)
    }

    fn cost(&self) -> Cost {
        Cost::new(6 * self.sizes().len(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let x = args.input(0);
        let [mean, variance, weight, bias] = [1, 2, 3, 4].map(|input| args.input(input));
        each_plane(
            self.sizes(),
            self.rows,
            args.output(),
            #[inline(always)]
            |c, first, y| {
                let [mean, variance, weight, bias] =
                    [mean[c], variance[c], weight[c], bias[c]].map(f64::from);
                let scale = (variance + f64::from(self.eps)).sqrt();
                write(
                    &x[first..],
                    y,
                    self.relu,
                    #[inline(always)]
                    |x| (x - mean) / scale * weight + bias,
                );
            },
        );
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let channel = self.sizes().channel_of(index);
        let (inverse, error) = inverse_deviation(args.float(2, channel), 0.0, 0.0, self.eps);
        let terms = Terms {
            x: args.float(0, index),
            mean: args.float(1, channel),
            inverse,
            inverse_error: error / inverse,
            weight: args.float(3, channel),
            bias: args.float(4, channel),
        };
        terms.element(self.relu)
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        ErrorBound::of_elements(self, args)
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let (rows, channels, area) = random.normalised();
    let forward = BatchNormForward {
        rows,
        channels,
        area,
        relu: random.flag(),
    };
    let infer = BatchNormInfer {
        rows,
        channels,
        area,
        eps: 1e-5,
        relu: random.flag(),
    };
    let forward = Case::of_floats(forward, random).in_step(random.step(rows, 1));
    let mut infer = Case::of_floats(infer, random);
    let variances = &mut infer.inputs[2];
    variances.iter_mut().for_each(|word| *word &= 0x7fff_ffff);

    // With one row of short planes the partial sums are the gradients.
    let (rows, area, relu) = (1, random.size(64), false);
    let of_one_row = BatchNormForward {
        rows,
        channels,
        area,
        relu,
    };
    let sums = BatchNormBackwardSums {
        rows,
        channels,
        area,
        relu,
    };
    let reads = [
        Read::Input(0),
        Read::OutputGradient,
        Read::Output(0),
        Read::Input(1),
        Read::Input(2),
    ];
    let of_one_row = Case::of_floats(of_one_row, random)
        .with_gradient_in(3, sums.clone(), 1, &reads)
        .with_gradient_in(4, sums, 0, &reads);
    vec![forward, infer, of_one_row]
}
