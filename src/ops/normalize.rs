//! Subtracts a channel's mean and multiplies by its factor.

use super::bound::{EPSILON, SMALLEST_NORMAL};
use super::case::{Case, Random, Read};
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude, Shader,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation],
    include_str!("../../shaders/normalize.wgsl"),
);

/// `output = (input − mean)·factor`, with a mean and a factor for each channel of (N, C, P). With
/// means of zero it is also its own gradient.
#[derive(Debug, Clone)]
pub struct Normalize {
    /// N.
    pub rows: usize,
    /// C.
    pub channels: usize,
    /// P: pixels of a plane.
    pub area: usize,
}

impl Normalize {
    fn len(&self) -> usize {
        self.rows * self.channels * self.area
    }

    fn channel(&self, index: usize) -> usize {
        index / self.area % self.channels
    }
}

impl Op for Normalize {
    fn name(&self) -> &'static str {
        "normalize_channels"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("input", self.len()),
            Binding::read("means", self.channels),
            Binding::read("factors", self.channels),
            Binding::write("output", self.len()),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.len()).constants([
            ("LEN", self.len() as f64),
            ("C", self.channels as f64),
            ("AREA", self.area as f64),
        ])
    }

    fn cost(&self) -> Cost {
        Cost::new(2 * self.len(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let [input, means, factors] = [0, 1, 2].map(|place| args.input(place));
        for (index, output) in args.output().iter_mut().enumerate() {
            let channel = self.channel(index);
            let distance = f64::from(input[index]) - f64::from(means[channel]);
            *output = (distance * f64::from(factors[channel])) as f32;
        }
    }

    /// A difference and a product, which a compiler may also write as a product and a multiply-add.
    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let channel = self.channel(index);
        let (x, mean, factor) = (
            args.float(0, index),
            args.float(1, channel),
            args.float(2, channel),
        );
        let roundings = 3.0 * EPSILON * (x.abs() + mean.abs()) * factor.abs();
        let flushed = SMALLEST_NORMAL * (2.0 + x.abs() + mean.abs() + 2.0 * factor.abs());
        Element::Float {
            value: (x - mean) * factor,
            error: roundings + flushed,
        }
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        ErrorBound::of_elements(self, args)
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let op = Normalize {
        rows: random.size(5),
        channels: random.size(4),
        area: random.size(30),
    };
    let mut case = Case::of_floats(op.clone(), random);
    case.inputs[1].fill(0);
    let reads = [Read::OutputGradient, Read::Input(1), Read::Input(2)];
    vec![
        case.with_gradient(0, op.clone(), &reads),
        Case::of_floats(op, random),
    ]
}
