//! The gradients of group and layer normalisation.

use rayon::prelude::*;

use super::bound::{EPSILON, SMALLEST_NORMAL};
use super::case::{Case, Random};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::sizes::batch_norm::loop_over_lanes;
use super::sizes::group_norm::Runs;
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude, Shader, Sum,
    WORKGROUP_SIZE, nested_loops,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation, Prelude::Parts, Prelude::Lanes],
    include_str!("../../shaders/group_norm_backward.wgsl"),
);

/// For each part of each area, `d_bias_partials = Σ d_y` and
/// `d_weight_partials = Σ d_y·(x − mean)·inverse_deviation`. A part has at most 128 elements; both
/// outputs are (P, parts).
#[derive(Debug, Clone)]
pub struct GroupNormBackwardSums {
    /// The runs.
    pub runs: Runs,
}

/// The sums of [`GroupNormBackwardSums`] over each run, times the weights: (R, 2), Σ d_y·weight and
/// Σ d_y·weight·x̂. Without weights, `weight` is ignored; the means take its place.
#[derive(Debug, Clone)]
pub struct GroupNormBackwardRuns {
    /// The runs.
    pub runs: Runs,
}

/// `d_x = inverse_deviation·(d − Σd/L − x̂·Σ(d·x̂)/L)` with `d = d_y·weight`,
/// `x̂ = (x − mean)·inverse_deviation` and the sums of [`GroupNormBackwardRuns`]. Without weights,
/// `weight` is ignored; the means take its place.
#[derive(Debug, Clone)]
pub struct GroupNormBackwardInput {
    /// The runs.
    pub runs: Runs,
}

/// The launch of `invocations`, with the constants of all kernels of the family.
fn launch(runs: Runs, launch: Launch) -> Launch {
    let sizes = runs.areas_as_parts().constants_of_parts().into_iter();
    launch
        .constants(sizes.filter(|(name, _)| *name != "ROWS"))
        .constants(runs.constants())
}

impl Op for GroupNormBackwardSums {
    fn name(&self) -> &'static str {
        "group_norm_backward_sums"
    }

    fn bindings(&self) -> Bindings {
        let (len, parts) = (self.runs.elements(), self.runs.areas_as_parts().parts());
        Bindings::new([
            Binding::read("x", len),
            Binding::read("d_y", len),
            Binding::read("mean", self.runs.runs),
            Binding::read("inverse_deviation", self.runs.runs),
            Binding::write("d_bias_partials", parts),
            Binding::write("d_weight_partials", parts),
        ])
    }

    fn launch(&self) -> Launch {
        let sizes = self.runs.areas_as_parts();
        launch(self.runs, Launch::new(SHADER, sizes.parts()))
            .longest_loop(nested_loops(&[sizes.part_len()]))
    }

    fn cost(&self) -> Cost {
        Cost::new(4 * self.runs.elements(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let sizes = self.runs.areas_as_parts();
        let [x, d_y, mean, inverse] = [0, 1, 2, 3].map(|input| args.input(input));
        let (d_bias, d_weight) = args.two_outputs();
        let parts = d_bias.par_iter_mut().zip(d_weight).enumerate();
        let parts = parts.with_min_len(min_task_len(ELEMENT));
        parts.for_each(|(part, (d_bias, d_weight))| {
            let own = sizes.elements_of(part);
            let run = self.runs.run_of(own.start);
            let mean = f64::from(mean[run]);
            let (mut bias, mut weight) = (0f64, 0f64);
            for at in own {
                bias += f64::from(d_y[at]);
                weight += f64::from(d_y[at]) * (f64::from(x[at]) - mean);
            }
            *d_bias = bias as f32;
            *d_weight = (weight * f64::from(inverse[run])) as f32;
        });
    }

    /// As in [`BatchNormBackwardSums`](super::BatchNormBackwardSums).
    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        let part = self.runs.areas_as_parts().elements_of(index);
        let (terms, run) = (part.len(), self.runs.run_of(part.start));
        let (mean, inverse) = (args.float(2, run), args.float(3, run));
        let (mut d_bias, mut d_weight, mut magnitude) = (Sum::default(), Sum::default(), 0.0);
        for at in part {
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

impl GroupNormBackwardRuns {
    /// The parts of a run.
    fn parts(&self) -> usize {
        self.runs.areas_of_run() * self.runs.parts_of_area()
    }

    /// The weight of a part, by a function that reads the weights.
    fn weight_of(&self, part: usize, read: impl Fn(usize) -> f64) -> f64 {
        self.runs
            .weight_of(part / self.runs.parts_of_area(), read, 1.0)
    }

    /// A lane's products, and one sum per round of the tree that adds the lanes.
    fn bound(&self) -> ErrorBound {
        let terms = self.runs.parts_of_lane() + WORKGROUP_SIZE.ilog2() as usize;
        ErrorBound::Products { terms }
    }
}

impl Op for GroupNormBackwardRuns {
    fn name(&self) -> &'static str {
        "group_norm_backward_runs"
    }

    fn bindings(&self) -> Bindings {
        let parts = self.runs.areas_as_parts().parts();
        Bindings::new([
            Binding::read("d_bias_partials", parts),
            Binding::read("d_weight_partials", parts),
            Binding::read("weight", self.runs.weight_words()),
            Binding::write("sums", 2 * self.runs.runs),
        ])
    }

    fn launch(&self) -> Launch {
        let longest = self.runs.parts_of_lane() as u64 + 1 + 2 * loop_over_lanes();
        launch(self.runs, Launch::of_workgroups(SHADER, self.runs.runs)).longest_loop(longest)
    }

    fn cost(&self) -> Cost {
        Cost::new(4 * self.runs.areas_as_parts().parts(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (partials, weight) = ([args.input(0), args.input(1)], args.input(2));
        let parts = self.parts();
        let runs = args.output().par_chunks_mut(2).enumerate();
        let runs = runs.with_min_len(min_task_len(ELEMENT * parts));
        runs.for_each(|(run, sums)| {
            for (sum, partials) in sums.iter_mut().zip(partials) {
                let terms = (run * parts..(run + 1) * parts).map(|part| {
                    f64::from(partials[part]) * self.weight_of(part, |at| weight[at].into())
                });
                *sum = terms.sum::<f64>() as f32;
            }
        });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let (run, of) = (index / 2, index % 2);
        let mut sum = Sum::default();
        for part in run * self.parts()..(run + 1) * self.parts() {
            let weight = self.weight_of(part, |at| args.float(2, at));
            sum.add_product(weight, args.float(of, part));
        }
        sum.within(&self.bound())
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![self.bound()]
    }
}

/// The terms of an element of d_x.
struct Terms {
    deviation: f64,
    inverse: f64,
    weight: f64,
    d_y: f64,
    of_mean: f64,
    of_deviation: f64,
}

impl GroupNormBackwardInput {
    /// The terms of an element, by a function that reads the inputs.
    fn terms(&self, index: usize, read: impl Fn(usize, usize) -> f64) -> Terms {
        let (run, len) = (self.runs.run_of(index), self.runs.len as f64);
        let area = index / self.runs.area;
        Terms {
            deviation: read(0, index) - read(2, run),
            inverse: read(3, run),
            weight: self.runs.weight_of(area, |at| read(4, at), 1.0),
            d_y: read(1, index),
            of_mean: read(5, 2 * run) / len,
            of_deviation: read(5, 2 * run + 1) / len,
        }
    }
}

impl Terms {
    fn value(&self) -> f64 {
        let normal = self.deviation * self.inverse;
        self.inverse * (self.d_y * self.weight - self.of_mean - normal * self.of_deviation)
    }
}

impl Op for GroupNormBackwardInput {
    fn name(&self) -> &'static str {
        "group_norm_backward_input"
    }

    fn bindings(&self) -> Bindings {
        let (len, runs) = (self.runs.elements(), self.runs.runs);
        Bindings::new([
            Binding::read("x", len),
            Binding::read("d_y", len),
            Binding::read("mean", runs),
            Binding::read("inverse_deviation", runs),
            Binding::read("weight", self.runs.weight_words()),
            Binding::read("sums", 2 * runs),
            Binding::write("d_x", len),
        ])
    }

    fn launch(&self) -> Launch {
        launch(self.runs, Launch::new(SHADER, self.runs.elements()))
    }

    fn cost(&self) -> Cost {
        Cost::new(9 * self.runs.elements(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let inputs = [0, 1, 2, 3, 4, 5].map(|input| args.input(input));
        let d_x = args.output().par_iter_mut().enumerate();
        let d_x = d_x.with_min_len(min_task_len(ELEMENT));
        d_x.for_each(|(index, d_x)| {
            let terms = self.terms(index, |input, at| inputs[input][at].into());
            *d_x = terms.value() as f32;
        });
    }

    /// The longest path to the result has a difference, a product, a product with a quotient (2.5
    /// ulp, and its divisor's rounding: 6ε), two differences, a product and the reference: 13ε of
    /// the magnitudes of the terms, and one for the products of errors. Flushing changes each input
    /// and each result by at most η, times its cofactor.
    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let terms = self.terms(index, |input, at| args.float(input, at));
        let Terms {
            deviation,
            inverse,
            weight,
            d_y,
            of_mean,
            of_deviation,
        } = terms;
        let of_normal = deviation * inverse * of_deviation;
        let magnitude = (d_y * weight).abs() + of_mean.abs() + of_normal.abs();
        let flushed_of_normal =
            (4.0 + deviation.abs()) * (1.0 + inverse.abs()) * (1.0 + of_deviation.abs());
        let flushed = 4.0 + magnitude + d_y.abs() + weight.abs() + flushed_of_normal;
        Element::Float {
            value: terms.value(),
            error: 14.0 * EPSILON * magnitude * inverse.abs()
                + 2.0 * SMALLEST_NORMAL * flushed * (1.0 + inverse.abs()),
        }
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        ErrorBound::of_elements(self, args)
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let runs = Runs::random(random);
    vec![
        Case::of_floats(GroupNormBackwardSums { runs }, random),
        Case::of_floats(GroupNormBackwardRuns { runs }, random),
        Case::of_floats(GroupNormBackwardInput { runs }, random),
    ]
}
