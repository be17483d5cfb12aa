//! Softmax over channels, and its gradient.

use rayon::prelude::*;

use super::bound::{EPSILON, SMALLEST_NORMAL};
use super::case::{Case, Random, Read};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude, Shader, Sum,
    nested_loops,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation, Prelude::Order, Prelude::Logits],
    include_str!("../../shaders/softmax.wgsl"),
);

/// Covers the products of errors that bounds of first order leave out.
const SECOND_ORDER: f64 = 1.01;

/// An array of (N, C, area), whose N·area places have C values each.
#[derive(Debug, Clone, Copy)]
pub struct Channels {
    /// N.
    pub rows: usize,
    /// C.
    pub channels: usize,
    /// H·W; 1 for features.
    pub area: usize,
}

impl Channels {
    fn len(&self) -> usize {
        self.rows * self.channels * self.area
    }

    /// The elements of the place of an element.
    fn beside(&self, index: usize) -> impl Iterator<Item = usize> + Clone + use<> {
        let (area, image) = (self.area, self.channels * self.area);
        let first = index / image * image + index % area;
        (0..self.channels).map(move |c| first + c * area)
    }

    fn constants(&self) -> [(&'static str, f64); 3] {
        [
            ("ROWS", self.rows as f64),
            ("CLASSES", self.channels as f64),
            ("CLASS_STRIDE", self.area as f64),
        ]
    }

    /// Calls `compute(values, results)` for each place: the values of C channels of each input, and
    /// where to write its results.
    fn each_place<const I: usize>(
        &self,
        inputs: [&[f32]; I],
        output: &mut [f32],
        compute: impl Fn([&[f64]; I], &mut [f32]) + Sync,
    ) {
        let image = self.channels * self.area;
        let images = output.par_chunks_mut(image).enumerate();
        let images = images.with_min_len(min_task_len(ELEMENT * image));
        images.for_each(|(n, output)| {
            let mut results = vec![0.0; self.channels];
            for place in 0..self.area {
                let at = |c: usize| c * self.area + place;
                let values = inputs.map(|input| -> Vec<f64> {
                    let image = &input[n * image..];
                    (0..self.channels).map(|c| image[at(c)].into()).collect()
                });
                compute(values.each_ref().map(Vec::as_slice), &mut results);
                for (c, &result) in results.iter().enumerate() {
                    output[at(c)] = result;
                }
            }
        });
    }
}

/// `output[n, c, p] = exp(x[n, c, p]) / Σ exp(x[n, ·, p])`. The largest value is subtracted first,
/// so that no exponential overflows. A place with NaN or +∞, or only −∞, is NaN.
#[derive(Debug, Clone)]
pub struct SoftmaxForward {
    /// N, C and the area.
    pub sizes: Channels,
}

/// `d_input = output·(d_output − Σ d_output·output)`, with the sum over the channels of a place.
#[derive(Debug, Clone)]
pub struct SoftmaxBackward {
    /// N, C and the area.
    pub sizes: Channels,
}

impl Op for SoftmaxForward {
    fn name(&self) -> &'static str {
        "softmax_forward"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("logits", self.sizes.len()),
            Binding::write("shares", self.sizes.len()),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.sizes.rows * self.sizes.area)
            .constants(self.sizes.constants())
            .longest_loop(3 * nested_loops(&[self.sizes.channels]))
    }

    /// With y a share, v in [−1, 1] the direction and m and V its mean and variance under the
    /// shares, it is y·((v − m)³ − 3(v − m)V − μ₃), where |v − m| ≤ 2(1 − y), V ≤ 1 and the third
    /// central moment |μ₃| ≤ 0.77: at most 0.85 + 1.5 + 0.77.
    fn third_derivative(&self) -> f64 {
        3.12
    }

    fn cost(&self) -> Cost {
        Cost::new(6 * self.sizes.len(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let logits = args.input(0);
        self.sizes
            .each_place([logits], args.output(), |[logits], shares| {
                let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = logits.iter().map(|x| (x - largest).exp()).sum();
                for (share, x) in shares.iter_mut().zip(logits) {
                    *share = ((x - largest).exp() / sum) as f32;
                }
            });
    }

    /// WGSL grants exp(x) 3 + 2|x| ulp, and its argument has an error of ε|x|: with t the distance
    /// of a value from the largest, its exponential has a relative error of (6 + 5t)ε. Their sum has
    /// the mean of these errors, weighted by the shares, and Cε more; the division adds 5ε, and the
    /// reference ε.
    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let logits = self.sizes.beside(index).map(|at| args.float(0, at));
        let largest = logits.clone().fold(f64::NEG_INFINITY, f64::max);
        let of_exponential = |distance: f64| 6.0 + 5.0 * distance;
        let (mut sum, mut of_sum) = (0.0, 0.0);
        for x in logits {
            let exponential = (x - largest).exp();
            sum += exponential;
            if exponential > 0.0 {
                of_sum += exponential * of_exponential(largest - x);
            }
        }
        let distance = largest - args.float(0, index);
        let value = (-distance).exp() / sum;
        let relative = match value > 0.0 {
            true => of_exponential(distance) + of_sum / sum + self.sizes.channels as f64 + 6.0,
            false => 0.0,
        };
        Element::Float {
            value,
            error: SECOND_ORDER * relative * EPSILON * value + 3.0 * SMALLEST_NORMAL,
        }
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        ErrorBound::of_elements(self, args)
    }
}

impl Op for SoftmaxBackward {
    fn name(&self) -> &'static str {
        "softmax_backward"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("output", self.sizes.len()),
            Binding::read("d_output", self.sizes.len()),
            Binding::write("d_input", self.sizes.len()),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.sizes.rows * self.sizes.area)
            .constants(self.sizes.constants())
            .longest_loop(2 * nested_loops(&[self.sizes.channels]))
    }

    fn cost(&self) -> Cost {
        Cost::new(4 * self.sizes.len(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let read = [args.input(0), args.input(1)];
        self.sizes
            .each_place(read, args.output(), |[shares, gradients], results| {
                let both = || shares.iter().zip(gradients);
                let sum: f64 = both().map(|(y, d_y)| y * d_y).sum();
                for (result, (y, d_y)) in results.iter_mut().zip(both()) {
                    *result = (y * (d_y - sum)) as f32;
                }
            });
    }

    /// The error of the sum, and one rounding each of the difference, the product and the
    /// reference. Flushing changes the share by at most η.
    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let mut sum = Sum::default();
        for at in self.sizes.beside(index) {
            sum.add_product(args.float(1, at), args.float(0, at));
        }
        let (share, gradient) = (args.float(0, index), args.float(1, index));
        let difference = gradient - sum.value;
        let of_difference =
            sum.error(self.sizes.channels) + EPSILON * difference.abs() + 2.0 * SMALLEST_NORMAL;
        let value = share * difference;
        Element::Float {
            value,
            error: SECOND_ORDER * (share.abs() * of_difference + 2.0 * EPSILON * value.abs())
                + SMALLEST_NORMAL * (2.0 + difference.abs()),
        }
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        ErrorBound::of_elements(self, args)
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let sizes = Channels {
        rows: random.size(5),
        channels: random.size(11),
        area: [1, random.size(20)][random.below(2)],
    };
    let backward = SoftmaxBackward { sizes };
    let alone = Case::of_floats(backward.clone(), random);
    let reads = [Read::Output(0), Read::OutputGradient];
    let transposed = [Read::Input(0), Read::OutputGradient];
    vec![
        Case::of_floats(SoftmaxForward { sizes }, random).with_gradient(
            0,
            backward.clone(),
            &reads,
        ),
        // The matrix of the gradient is symmetric.
        alone.with_gradient(1, backward, &transposed),
    ]
}
