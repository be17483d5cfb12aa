//! Group and layer normalisation forward: the statistics of runs, and the normalised elements.

use rayon::prelude::*;

use super::batch_norm::Terms;
use super::batch_norm_statistics::{Moments, inverse_deviation};
use super::bound::EPSILON;
use super::case::{Case, Random, Read};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::sizes::group_norm::Runs;
use super::{
    Args, Binding, Bindings, Content, Cost, Element, Elements, ErrorBound, GroupNormBackwardSums,
    Launch, Op, Prelude, Shader, nested_loops,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation, Prelude::Parts],
    include_str!("../../shaders/group_norm.wgsl"),
);

/// The statistics of each run, from [`BatchNormMoments`](super::BatchNormMoments) of (1, R, L):
/// `mean`, and `inverse_deviation = 1/√(variance + eps)` with the biased variance.
#[derive(Debug, Clone)]
pub struct GroupNormStatistics {
    /// The runs.
    pub runs: Runs,
    /// Added to variances, above zero.
    pub eps: f32,
}

/// `y = (x − mean)·inverse_deviation·weight + bias`, with the statistics of the run and the weight
/// and bias of the area. If there are no weights, both inputs are ignored; the means take their
/// places.
#[derive(Debug, Clone)]
pub struct GroupNormForward {
    /// The runs.
    pub runs: Runs,
}

impl Op for GroupNormStatistics {
    fn name(&self) -> &'static str {
        "group_norm_statistics"
    }

    fn bindings(&self) -> Bindings {
        let parts = self.runs.as_parts().parts();
        Bindings::new([
            Binding::read("means", parts),
            Binding::read("squares", parts).of(Content::Positive),
            Binding::write("mean", self.runs.runs),
            Binding::write("inverse_deviation", self.runs.runs),
        ])
    }

    fn launch(&self) -> Launch {
        let parts = self.runs.as_parts();
        let sizes = parts.constants_of_parts().into_iter();
        Launch::new(SHADER, self.runs.runs)
            .constants(sizes.filter(|(name, _)| *name != "ROWS"))
            .constants([("EPS", f64::from(self.eps))])
            .constants(self.runs.constants())
            .constants([("WEIGHT_LEN", self.runs.area as f64)])
            .longest_loop(2 * nested_loops(&[parts.parts_of_plane()]))
    }

    fn cost(&self) -> Cost {
        Cost::new(7 * self.runs.as_parts().parts(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (sizes, len) = (self.runs.as_parts(), self.runs.len as f64);
        let (means, squares) = (args.input(0), args.input(1));
        let parts = sizes.parts_of_plane();
        let (mean, inverse) = args.two_outputs();
        let runs = mean.par_iter_mut().zip(inverse).enumerate();
        let runs = runs.with_min_len(min_task_len(ELEMENT * parts));
        runs.for_each(|(run, (mean, inverse))| {
            let parts = || {
                let own = run * parts..(run + 1) * parts;
                own.map(|part| (part, sizes.elements_of(part).len() as f64))
            };
            let sum: f64 = parts().map(|(i, size)| size * f64::from(means[i])).sum();
            let average = sum / len;
            let squares = parts().map(|(part, size)| {
                f64::from(squares[part]) + size * (f64::from(means[part]) - average).powi(2)
            });
            let variance = squares.sum::<f64>() / len;
            *mean = average as f32;
            *inverse = (variance + f64::from(self.eps)).sqrt().recip() as f32;
        });
    }

    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        let sizes = self.runs.as_parts();
        let found = Moments::of_channel(args, sizes, index, sizes.parts_of_plane());
        if output == 0 {
            return Element::Float {
                value: found.mean,
                error: found.mean_error,
            };
        }
        let len = self.runs.len as f64;
        let (variance, above) = (found.squares / len, found.squares_above / len);
        let relative = found.squares_relative + 6.0 * EPSILON;
        let (value, error) = inverse_deviation(variance, above, relative, self.eps);
        Element::Float { value, error }
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        ErrorBound::of_elements(self, args)
    }
}

impl GroupNormForward {
    /// The terms of an element, by functions that read the inputs.
    fn terms(&self, index: usize, read: impl Fn(usize, usize) -> f64) -> Terms {
        let (run, area) = (self.runs.run_of(index), index / self.runs.area);
        Terms {
            x: read(0, index),
            mean: read(1, run),
            inverse: read(2, run),
            inverse_error: 0.0,
            weight: self.runs.weight_of(area, |at| read(3, at), 1.0),
            bias: self.runs.weight_of(area, |at| read(4, at), 0.0),
        }
    }
}

impl Op for GroupNormForward {
    fn name(&self) -> &'static str {
        "group_norm_forward"
    }

    fn bindings(&self) -> Bindings {
        let (len, runs) = (self.runs.elements(), self.runs.runs);
        let weights = self.runs.weight_words();
        Bindings::new([
            Binding::read("x", len),
            Binding::read("mean", runs),
            Binding::read("inverse_deviation", runs),
            Binding::read("weight", weights),
            Binding::read("bias", weights),
            Binding::write("y", len),
        ])
    }

    fn launch(&self) -> Launch {
        let sizes = self.runs.as_parts().constants_of_parts().into_iter();
        Launch::new(SHADER, self.runs.elements())
            .constants(sizes.filter(|(name, _)| *name != "ROWS"))
            .constants([("EPS", 0.0)])
            .constants(self.runs.constants())
            .constants([("WEIGHT_LEN", self.runs.area as f64)])
    }

    fn cost(&self) -> Cost {
        Cost::new(4 * self.runs.elements(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let inputs = [0, 1, 2, 3, 4].map(|input| args.input(input));
        let y = args.output().par_iter_mut().enumerate();
        y.with_min_len(min_task_len(ELEMENT))
            .for_each(|(index, y)| {
                let terms = self.terms(index, |input, at| inputs[input][at].into());
                *y = terms.value() as f32;
            });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let terms = self.terms(index, |input, at| args.float(input, at));
        terms.element(false)
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        ErrorBound::of_elements(self, args)
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let runs = Runs::random(random);
    let forward = Case::of_floats(GroupNormForward { runs }, random);
    let eps = 1e-5;
    let mut statistics = Case::of_floats(GroupNormStatistics { runs, eps }, random);
    let squares = &mut statistics.inputs[1];
    squares.iter_mut().for_each(|word| *word &= 0x7fff_ffff);

    // With one short area per weight the sums of areas are the gradients.
    let (channels, area) = (random.size(9), random.size(64));
    let runs = Runs {
        runs: 1,
        len: channels * area,
        area,
        weights: Some(channels),
    };
    let sums = GroupNormBackwardSums { runs };
    let reads = [
        Read::Input(0),
        Read::OutputGradient,
        Read::Input(1),
        Read::Input(2),
    ];
    let of_one_run = Case::of_floats(GroupNormForward { runs }, random)
        .with_gradient_in(3, sums.clone(), 1, &reads)
        .with_gradient_in(4, sums, 0, &reads);
    vec![statistics, forward, of_one_run]
}
