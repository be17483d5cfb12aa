//! Adds a bias to each channel; its gradient.

use rayon::prelude::*;

use super::case::{Case, Random, Read};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude, ReduceSum,
    Shader, Split, Sum, nested_loops,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation],
    include_str!("../../shaders/bias.wgsl"),
);

/// `output[n, c, p] = input[n, c, p] + bias[c]`; a Linear layer has an area of one.
#[derive(Debug, Clone)]
pub struct BiasForward {
    /// N.
    pub batch: usize,
    /// C, or a Linear layer's output features.
    pub channels: usize,
    /// H·W; 1 for features.
    pub area: usize,
}

impl BiasForward {
    fn len(&self) -> usize {
        self.batch * self.channels * self.area
    }
}

impl Op for BiasForward {
    fn name(&self) -> &'static str {
        "bias_forward"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("input", self.len()),
            Binding::read("bias", self.channels),
            Binding::write("output", self.len()),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.len()).constants([
            ("ROWS", (self.batch * self.channels) as f64),
            ("CHANNELS", self.channels as f64),
            ("AREA", self.area as f64),
        ])
    }

    fn cost(&self) -> Cost {
        Cost::new(self.len(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (input, bias) = (args.input(0), args.input(1));
        let (channels, area) = (self.channels, self.area);
        let rows = input.chunks(area).zip(args.output().chunks_mut(area));
        for (row, (input, output)) in rows.enumerate() {
            for (output, &value) in output.iter_mut().zip(input) {
                *output = (f64::from(value) + f64::from(bias[row % channels])) as f32;
            }
        }
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let bias = index / self.area % self.channels;
        let mut sum = Sum::from(args.float(0, index));
        sum.add(args.float(1, bias));
        sum.within(&ErrorBound::Relative(0.0))
    }

    /// One correctly rounded addition, except for subnormals, which may be flushed.
    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Relative(0.0)]
    }
}

/// `d_bias[n, c] = Σₚ d_output[n, c, p]`: the bias gradient per image;
/// [`ReduceSum`](super::ReduceSum) adds the images.
#[derive(Debug, Clone)]
pub struct BiasBackward {
    /// N·C.
    pub rows: usize,
    /// H·W.
    pub area: usize,
}

impl Op for BiasBackward {
    fn name(&self) -> &'static str {
        "bias_backward"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("d_output", self.rows * self.area),
            Binding::write("d_bias", self.rows),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.rows)
            .constants([("ROWS", self.rows as f64), ("AREA", self.area as f64)])
            .longest_loop(nested_loops(&[self.area]))
    }

    fn split(&self, longest: u64) -> Option<Split> {
        ReduceSum::of_groups(self.rows, self.area, 1).split(longest)
    }

    fn cost(&self) -> Cost {
        Cost::new(self.rows * self.area, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let rows = args.input(0).par_chunks(self.area).zip(args.output());
        let rows = rows.with_min_len(min_task_len(ELEMENT * self.area));
        rows.for_each(|(row, sum)| {
            *sum = row.iter().map(|&gradient| f64::from(gradient)).sum::<f64>() as f32;
        });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let mut sum = Sum::default();
        for p in 0..self.area {
            sum.add(args.float(0, index * self.area + p));
        }
        sum.within(&ErrorBound::Sum { terms: self.area })
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Sum { terms: self.area }]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let batch = if random.flag() { 1 } else { random.size(5) };
    let (channels, area) = (random.size(7), random.size(40));
    let forward = BiasForward {
        batch,
        channels,
        area,
    };
    let sum = BiasBackward {
        rows: batch * channels,
        area,
    };
    let mut forward = Case::of_floats(forward, random);
    if batch == 1 {
        // With more images, the gradient is the `ReduceSum` of this.
        forward = forward.with_gradient(1, sum.clone(), &[Read::OutputGradient]);
    }
    vec![forward, Case::of_floats(sum, random)]
}
