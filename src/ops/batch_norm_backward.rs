//! The per-channel sums in the gradients of batch normalisation.

use rayon::prelude::*;

use super::bound::{EPSILON, SMALLEST_NORMAL};
use super::case::{Case, Random};
use super::element::passes;
use super::reference::arithmetic::{ELEMENT, min_task_len, vectorized};
use super::reference::planes::sum_of;
use super::sizes::batch_norm::{Sizes, loop_over_lanes};
use super::{
    Args, BatchNormBackwardInput, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch,
    Op, Prelude, Shader, Sum, flag,
};

const FILE: &str = include_str!("../../shaders/batch_norm_backward.wgsl");

pub(super) const SHADER: Shader = Shader::new(
    &[
        Prelude::Invocation,
        Prelude::Step,
        Prelude::Relu,
        Prelude::Ones,
        Prelude::Parts,
        Prelude::Lanes,
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
        Prelude::Parts,
        Prelude::Lanes,
    ],
    FILE,
);

pub(super) fn shader(sizes: Sizes) -> Shader {
    match sizes.at_once() {
        4 => SHADER_OF_FOURS,
        _ => SHADER,
    }
}

/// For each part of each plane, cut as by [`BatchNormMoments`](super::BatchNormMoments),
/// `d_bias_partials = Σ d_y` and `d_weight_partials = Σ d_y·(x − mean)·inverse_deviation`. With
/// `relu`, d_y is zero where y is; otherwise y is ignored and may be any array of its length.
#[derive(Debug, Clone)]
pub struct BatchNormBackwardSums {
    /// N.
    pub rows: usize,
    /// C.
    pub channels: usize,
    /// H·W; 1 for features.
    pub area: usize,
    /// Whether ReLU followed.
    pub relu: bool,
}

impl BatchNormBackwardSums {
    fn sizes(&self) -> Sizes {
        Sizes::new(self.rows, self.channels, self.area)
    }
}

impl Op for BatchNormBackwardSums {
    fn name(&self) -> &'static str {
        "batch_norm_backward_sums"
    }

    fn bindings(&self) -> Bindings {
        let (len, parts, channels) = (self.sizes().len(), self.sizes().parts(), self.channels);
        Bindings::new([
            Binding::read("x", len),
            Binding::read("d_y", len),
            Binding::read("y", len),
            Binding::read("mean", channels),
            Binding::read("inverse_deviation", channels),
            Binding::write("d_bias_partials", parts),
            Binding::write("d_weight_partials", parts),
        ])
    }

    fn launch(&self) -> Launch {
        let mut constants = self.sizes().constants_of_parts();
        constants.push(("RELU", flag(self.relu)));
        Launch::new(shader(self.sizes()), self.sizes().parts())
            .constants(constants)
            .longest_loop(self.sizes().loop_over_part())
    }

    fn cost(&self) -> Cost {
        let mut bindings = self.bindings();
        if !self.relu {
            bindings.inputs[2].words = 0;
        }
        Cost::new(4 * self.sizes().len(), &bindings)
    }

    fn reference(&self, args: &mut Args<'_>) {
        let sizes = self.sizes();
        let [x, d_y, y, mean, inverse] = [0, 1, 2, 3, 4].map(|input| args.input(input));
        let (d_bias, d_weight) = args.two_outputs();
        let parts = d_bias.par_iter_mut().zip(d_weight).enumerate();
        let parts = parts.with_min_len(min_task_len(ELEMENT * sizes.part_len()));
        parts.for_each(|(part, (d_bias, d_weight))| {
            let channel = sizes.channel_of_part(part);
            let mean = f64::from(mean[channel]);
            let elements = sizes.elements_of(part);
            let inputs = [x, d_y, y].map(|input| &input[elements.clone()]);
            vectorized(
                #[inline(always)]
                || {
                    let counts = |y: f64| !self.relu | passes(y);
                    let [_, d_y, y] = inputs;
                    let bias = sum_of(
                        [d_y, y],
                        #[inline(always)]
                        |[d_y, y]| {
                            if counts(y) { d_y } else { 0.0 }
                        },
                    );
                    let weight = sum_of(
                        inputs,
                        #[inline(always)]
                        |[x, d_y, y]| {
                            let term = d_y * (x - mean);
                            if counts(y) { term } else { 0.0 }
                        },
                    );
                    *d_bias = bias as f32;
                    *d_weight = (weight * f64::from(inverse[channel])) as f32;
                },
            );
        });
    }

    /// Σ d_y is a sum. In the other, each product has a difference, and the sum is multiplied once:
    /// two more roundings, and one of the reference. Flushing x or the mean moves a difference by η
    /// each, times d_y.
    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        let part = self.sizes().elements_of(index);
        let (terms, channel) = (part.len(), self.sizes().channel_of_part(index));
        let (mean, inverse) = (args.float(3, channel), args.float(4, channel));
        let counts = |at: &usize| !self.relu || passes(args.float(2, *at));
        let (mut d_bias, mut d_weight, mut magnitude) = (Sum::default(), Sum::default(), 0.0);
        for at in part.filter(counts) {
            let d_y = args.float(1, at);
            d_bias.add(d_y);
            d_weight.add_product(d_y, args.float(0, at) - mean);
            magnitude += d_y.abs();
        }
        if output == 0 {
            return d_bias.within(&ErrorBound::Sum { terms });
        }
        let value = d_weight.value * inverse;
        let of_sum = d_weight.error(terms + 1) + 2.0 * SMALLEST_NORMAL * magnitude;
        Element::Float {
            value,
            error: of_sum * inverse.abs()
                + 3.0 * EPSILON * value.abs()
                + SMALLEST_NORMAL * (2.0 + d_weight.value.abs()),
        }
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        ErrorBound::of_elements(self, args)
    }
}

/// Adds the sums of [`BatchNormBackwardSums`] over the parts of each channel in the step's rows:
/// `sums` is Σ d_y of all channels and then Σ d_y·x̂, for the gradient of x; `d_weight` and
/// `d_bias` are the same, written or accumulated.
#[derive(Debug, Clone)]
pub struct BatchNormBackwardReduce {
    /// N.
    pub rows: usize,
    /// C.
    pub channels: usize,
    /// H·W; 1 for features.
    pub area: usize,
    /// Add to `d_weight` and `d_bias` instead of overwriting them.
    pub accumulate: bool,
}

impl BatchNormBackwardReduce {
    fn sizes(&self) -> Sizes {
        Sizes::new(self.rows, self.channels, self.area)
    }
}

impl Op for BatchNormBackwardReduce {
    fn name(&self) -> &'static str {
        "batch_norm_backward_reduce"
    }

    fn bindings(&self) -> Bindings {
        let (parts, channels) = (self.sizes().parts(), self.channels);
        Bindings::new([
            Binding::read("d_bias_partials", parts),
            Binding::read("d_weight_partials", parts),
            Binding::write("sums", 2 * channels),
            Binding::sum("d_weight", channels, self.accumulate),
            Binding::sum("d_bias", channels, self.accumulate),
        ])
    }

    fn launch(&self) -> Launch {
        let mut constants = self.sizes().constants_of_parts();
        constants.push(("ACCUMULATE", flag(self.accumulate)));
        Launch::of_workgroups(SHADER, self.channels)
            .constants(constants)
            .longest_loop(self.sizes().parts_of_lane() as u64 + 1 + 2 * loop_over_lanes())
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn cost(&self) -> Cost {
        Cost::new(2 * self.sizes().parts(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (sizes, step) = (self.sizes(), args.step);
        let partials = [args.input(0), args.input(1)];
        for channel in 0..self.channels {
            let sum = |partials: &[f32]| -> f64 {
                let parts = sizes.parts_of_channel(channel, step);
                parts.map(|part| f64::from(partials[part])).sum()
            };
            let [bias, weight] = partials.map(sum);
            args.outputs[0][channel] = (bias as f32).to_bits();
            args.outputs[0][self.channels + channel] = (weight as f32).to_bits();
            for (output, sum) in [(1, weight), (2, bias)] {
                let word = &mut args.outputs[output][channel];
                let before = match self.accumulate {
                    true => f64::from(f32::from_bits(*word)),
                    false => 0.0,
                };
                *word = ((before + sum) as f32).to_bits();
            }
        }
    }

    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        let channel = index % self.channels;
        let of_weight = output == 1 || index >= self.channels;
        let mut sum = Sum::default();
        if self.accumulate && output > 0 {
            sum.add(args.before(output, index));
        }
        for part in self.sizes().parts_of_channel(channel, args.step) {
            sum.add(args.float(usize::from(of_weight), part));
        }
        let terms = self.sizes().terms_of_channel() + 1;
        sum.within(&ErrorBound::Sum { terms })
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        ErrorBound::of_elements(self, args)
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let (rows, channels, area) = random.normalised();
    let relu = random.flag();
    let sums = BatchNormBackwardSums {
        rows,
        channels,
        area,
        relu,
    };
    let reduce = BatchNormBackwardReduce {
        rows,
        channels,
        area,
        accumulate: random.flag(),
    };
    let input = BatchNormBackwardInput {
        rows,
        channels,
        area,
        relu: random.flag(),
    };
    vec![
        Case::of_floats(sums, random),
        Case::of_floats(reduce, random).in_step(random.step(rows, 1)),
        Case::of_floats(input, random).in_step(random.step(rows, 1)),
    ]
}
