//! Means and variances of channels: of the parts of planes, and of all of a step's rows.

use rayon::prelude::*;

use super::bound::{EPSILON, SMALLEST_NORMAL};
use super::case::{Case, Random};
use super::reference::arithmetic::{ELEMENT, min_task_len, vectorized};
use super::reference::planes::sum_of;
use super::sizes::batch_norm::{Sizes, loop_over_lanes};
use super::{
    Args, Binding, Bindings, Content, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude,
    Shader, Sum,
};

const FILE: &str = include_str!("../../shaders/batch_norm_statistics.wgsl");

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

/// `mean` and `square = Σ (x − mean)²` of each part of each plane of x. A part has at most 128
/// elements. Both outputs are (N, C, parts), or (N, C) if the area is at most 128.
#[derive(Debug, Clone)]
pub struct BatchNormMoments {
    /// N.
    pub rows: usize,
    /// C.
    pub channels: usize,
    /// H·W; 1 for features.
    pub area: usize,
}

impl BatchNormMoments {
    fn sizes(&self) -> Sizes {
        Sizes::new(self.rows, self.channels, self.area)
    }
}

impl Op for BatchNormMoments {
    fn name(&self) -> &'static str {
        "batch_norm_moments"
    }

    fn bindings(&self) -> Bindings {
        let parts = self.sizes().parts();
        Bindings::new([
            Binding::read("x", self.sizes().len()),
            Binding::write("means", parts),
            Binding::write("squares", parts),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(
            match self.sizes().at_once() {
                4 => SHADER_OF_FOURS,
                _ => SHADER,
            },
            self.sizes().parts(),
        )
        .constants(self.sizes().constants_of_parts())
        .longest_loop(2 * self.sizes().loop_over_part())
    }

    fn cost(&self) -> Cost {
        Cost::new(5 * self.sizes().len(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (sizes, x) = (self.sizes(), args.input(0));
        let (means, squares) = args.two_outputs();
        let parts = means.par_iter_mut().zip(squares).enumerate();
        let parts = parts.with_min_len(min_task_len(ELEMENT * sizes.part_len()));
        parts.for_each(|(part, (mean, square))| {
            let x = &x[sizes.elements_of(part)];
            vectorized(
                #[inline(always)]
                || {
                    let sum = sum_of(
                        [x],
                        #[inline(always)]
                        |[x]| x,
                    );
                    let average = sum / x.len() as f64;
                    let squares = sum_of(
                        [x],
                        #[inline(always)]
                        |[x]| (x - average).powi(2),
                    );
                    (*mean, *square) = (average as f32, squares as f32);
                },
            );
        });
    }

    /// The kernel adds n differences from the part's first element, each rounded once, divides by n
    /// (2.5 ulp, 5ε) and adds the first element; the reference rounds once.
    ///
    /// With δ the error of that mean, Σ (x − mean − δ)² = Σ (x − mean)² + nδ², since deviations
    /// from the mean add up to zero. To this add 3ε for the square of a difference, nε for the sum,
    /// whose terms share a sign, and ε for the reference. Flushing moves each x, deviation and
    /// square by at most η.
    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        let part = self.sizes().elements_of(index);
        let n = part.len() as f64;
        let x = || part.clone().map(|at| args.float(0, at));
        let origin = args.float(0, part.start);
        let mut sum = Sum::default();
        x().for_each(|x| sum.add(x - origin));
        let average = sum.value / n;
        let mean = origin + average;
        let mean_error = sum.error(part.len() + 1) / n
            + 6.0 * EPSILON * average.abs()
            + 2.0 * EPSILON * mean.abs()
            + 4.0 * SMALLEST_NORMAL;
        if output == 0 {
            return Element::Float {
                value: mean,
                error: mean_error,
            };
        }
        let value: f64 = x().map(|x| (x - mean).powi(2)).sum();
        let deviations: f64 = x().map(|x| (x - mean).abs()).sum();
        let of_mean = n * mean_error * mean_error;
        Element::Float {
            value,
            error: of_mean
                + (n + 6.0) * EPSILON * (value + of_mean)
                + 4.0 * SMALLEST_NORMAL * (n + deviations),
        }
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        ErrorBound::of_elements(self, args)
    }
}

/// The moments of a channel, and their allowed errors in a kernel.
pub(super) struct Moments {
    pub mean: f64,
    pub mean_error: f64,
    /// Σ (x − mean)².
    pub squares: f64,
    /// The part of the squares due to an error of the mean.
    pub squares_above: f64,
    /// Their relative error from other causes.
    pub squares_relative: f64,
}

impl Moments {
    /// From the means and the squares of a channel's parts, inputs 0 and 1, by a kernel whose
    /// longest chain of additions has `terms`.
    ///
    /// As in [`BatchNormMoments`], with differences times counts in place of differences. A
    /// quotient has an error of 2.5 ulp plus the rounding of its divisor, 6ε. All terms of the
    /// squares are non-negative, so their relative error is ε per rounding.
    pub fn of_channel(args: &Elements<'_>, sizes: Sizes, channel: usize, terms: usize) -> Self {
        let parts = || sizes.parts_of_channel(channel, args.step);
        let count = |part: usize| sizes.elements_of(part).len() as f64;
        let n = sizes.count(args.step);
        let origin = parts().next().map_or(0.0, |part| args.float(0, part));
        let mut sum = Sum::default();
        parts().for_each(|part| sum.add_product(count(part), args.float(0, part) - origin));
        let average = sum.value / n;
        let mean = origin + average;
        let mean_error = sum.error(terms + 1) / n
            + 7.0 * EPSILON * average.abs()
            + 2.0 * EPSILON * mean.abs()
            + 4.0 * SMALLEST_NORMAL;

        let (mut squares, mut flushed) = (0.0, 0.0);
        for part in parts() {
            let deviation = args.float(0, part) - mean;
            squares += args.float(1, part) + count(part) * deviation * deviation;
            flushed += 4.0 * SMALLEST_NORMAL * count(part) * (1.0 + deviation.abs());
        }
        Moments {
            mean,
            mean_error,
            squares,
            squares_above: n * mean_error * mean_error + flushed,
            squares_relative: (terms as f64 + 7.0) * EPSILON,
        }
    }
}

/// The statistics of each channel over the step's rows, from [`BatchNormMoments`] of the same
/// sizes: `mean` and `inverse_deviation = 1/√(variance + eps)` with the biased variance, which
/// normalise the batch; and PyTorch's running statistics, `r = (1 − momentum)·r + momentum·s`, with
/// the unbiased variance. `batches` counts the steps, like PyTorch's `num_batches_tracked`.
///
/// A single value has no unbiased variance: PyTorch refuses such a batch. Here the running variance
/// is left unchanged, since the last batch of an epoch may have one row.
#[derive(Debug, Clone)]
pub struct BatchNormStatistics {
    /// N.
    pub rows: usize,
    /// C.
    pub channels: usize,
    /// H·W; 1 for features.
    pub area: usize,
    /// Added to variances, above zero.
    pub eps: f32,
    /// The weight of the step in the running statistics.
    pub momentum: f32,
}

impl BatchNormStatistics {
    fn sizes(&self) -> Sizes {
        Sizes::new(self.rows, self.channels, self.area)
    }

    /// `(1 − momentum)·before + momentum·value`: four roundings of products and one of the
    /// reference, plus the error of the value.
    fn running(&self, before: f64, value: f64, error: f64) -> Element {
        let share = f64::from(self.momentum);
        let (kept, added) = ((1.0 - share) * before, share * value);
        Element::Float {
            value: kept + added,
            error: share * error
                + 6.0 * EPSILON * (kept.abs() + added.abs())
                + 4.0 * SMALLEST_NORMAL,
        }
    }
}

impl Op for BatchNormStatistics {
    fn name(&self) -> &'static str {
        "batch_norm_statistics"
    }

    fn bindings(&self) -> Bindings {
        let (parts, channels) = (self.sizes().parts(), self.channels);
        Bindings::new([
            Binding::read("means", parts),
            Binding::read("squares", parts).of(Content::Positive),
            Binding::write("mean", channels),
            Binding::write("inverse_deviation", channels),
            Binding::update("running_mean", channels),
            Binding::update("running_var", channels),
            Binding::update("batches", 1).of(Content::Any),
        ])
    }

    fn launch(&self) -> Launch {
        let mut constants = self.sizes().constants_of_parts();
        constants.push(("EPS", f64::from(self.eps)));
        constants.push(("MOMENTUM", f64::from(self.momentum)));
        Launch::of_workgroups(SHADER, self.channels)
            .constants(constants)
            .longest_loop(2 * (self.sizes().parts_of_lane() as u64 + 1 + loop_over_lanes()))
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn cost(&self) -> Cost {
        Cost::new(7 * self.sizes().parts(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (sizes, step) = (self.sizes(), args.step);
        let (means, squares) = (args.input(0), args.input(1));
        let n = sizes.count(step);
        let work = ELEMENT * self.rows * sizes.parts_of_plane();
        let channels = (0..self.channels).into_par_iter();
        let channels = channels.with_min_len(min_task_len(work));
        let moments = channels.map(|channel| {
            let parts = || {
                let parts = sizes.parts_of_channel(channel, step);
                parts.map(|part| (part, sizes.elements_of(part).len() as f64))
            };
            let sum: f64 = parts().map(|(i, size)| size * f64::from(means[i])).sum();
            let mean = sum / n;
            let squares = parts().map(|(part, size)| {
                f64::from(squares[part]) + size * (f64::from(means[part]) - mean).powi(2)
            });
            (mean, squares.sum::<f64>())
        });
        let moments: Vec<(f64, f64)> = moments.collect();
        let share = f64::from(self.momentum);
        let moved = |word: u32, value: f64| {
            let before = f64::from(f32::from_bits(word));
            (((1.0 - share) * before + share * value) as f32).to_bits()
        };
        for (channel, (mean, squares)) in moments.into_iter().enumerate() {
            let inverse = (squares / n + f64::from(self.eps)).sqrt().recip();
            args.outputs[0][channel] = (mean as f32).to_bits();
            args.outputs[1][channel] = (inverse as f32).to_bits();
            let running_mean = &mut args.outputs[2][channel];
            *running_mean = moved(*running_mean, mean);
            if n > 1.0 {
                let running_var = &mut args.outputs[3][channel];
                *running_var = moved(*running_var, squares / (n - 1.0));
            }
        }
        args.outputs[4][0] = args.outputs[4][0].wrapping_add(1);
    }

    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        if output == 4 {
            return Element::Word(args.outputs[4](index).wrapping_add(1));
        }
        let n = self.sizes().count(args.step);
        let (sizes, terms) = (self.sizes(), self.sizes().terms_of_channel());
        let found = Moments::of_channel(args, sizes, index, terms);
        let relative = found.squares_relative + 6.0 * EPSILON;
        match output {
            0 => Element::Float {
                value: found.mean,
                error: found.mean_error,
            },
            1 => {
                let (variance, above) = (found.squares / n, found.squares_above / n);
                let (value, error) = inverse_deviation(variance, above, relative, self.eps);
                Element::Float { value, error }
            }
            2 => self.running(args.before(2, index), found.mean, found.mean_error),
            _ if n > 1.0 => {
                let (unbiased, above) =
                    (found.squares / (n - 1.0), found.squares_above / (n - 1.0));
                let error = above + relative * (unbiased + above);
                self.running(args.before(3, index), unbiased, error)
            }
            _ => Element::Word(args.outputs[3](index)),
        }
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        ErrorBound::of_elements(self, args)
    }
}

/// `1/√(variance + eps)`, and the allowed error of a kernel whose variance is up to `above` too
/// large and has the relative error `relative` besides. v^(−½) decreases: a v that is too large
/// gives the difference to its value there, and a relative error of v counts half. Add ε for the
/// sum with `eps`, 2 ulp of `inverseSqrt` (4ε) and ε of the reference. The flushing loss of a
/// variance is negligible beside `eps`.
pub(super) fn inverse_deviation(variance: f64, above: f64, relative: f64, eps: f32) -> (f64, f64) {
    let of = |variance: f64| (variance + f64::from(eps)).sqrt().recip();
    let value = of(variance);
    let error = value - of(variance + above) + (relative + 6.0 * EPSILON) * value;
    (value, error)
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let (rows, channels, area) = random.normalised();
    let moments = BatchNormMoments {
        rows,
        channels,
        area,
    };
    let statistics = BatchNormStatistics {
        rows,
        channels,
        area,
        eps: 1e-5,
        momentum: [0.1, 0.75][random.below(2)],
    };
    let positive = |words: &mut Vec<u32>| words.iter_mut().for_each(|word| *word &= 0x7fff_ffff);
    let mut statistics = Case::of_floats(statistics, random).in_step(random.step(rows, 1));
    positive(&mut statistics.inputs[1]);
    positive(&mut statistics.outputs[3]);
    vec![Case::of_floats(moments, random), statistics]
}
