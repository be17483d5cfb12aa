//! The gradient of batch normalisation's input.

use super::batch_norm_backward::shader;
use super::bound::{EPSILON, SMALLEST_NORMAL};
use super::element::passes;
use super::reference::planes::each_plane;
use super::sizes::batch_norm::Sizes;
use super::{Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, flag};

/// `d_x = weight·inverse_deviation·(d_y − Σd_y/m − x̂·Σ(d_y·x̂)/m)` with
/// `x̂ = (x − mean)·inverse_deviation`, the sums of
/// [`BatchNormBackwardReduce`](super::BatchNormBackwardReduce) and m the elements of a channel in
/// the step's rows; zero in padding rows. With `relu`, d_y is zero where y is; otherwise y is
/// ignored and may be any array of its length.
#[derive(Debug, Clone)]
pub struct BatchNormBackwardInput {
    /// N.
    pub rows: usize,
    /// C.
    pub channels: usize,
    /// H·W; 1 for features.
    pub area: usize,
    /// Whether ReLU followed.
    pub relu: bool,
}

impl BatchNormBackwardInput {
    fn sizes(&self) -> Sizes {
        Sizes::new(self.rows, self.channels, self.area)
    }
}

impl Op for BatchNormBackwardInput {
    fn name(&self) -> &'static str {
        "batch_norm_backward_input"
    }

    fn bindings(&self) -> Bindings {
        let (len, channels) = (self.sizes().len(), self.channels);
        Bindings::new([
            Binding::read("x", len),
            Binding::read("d_y", len),
            Binding::read("y", len),
            Binding::read("mean", channels),
            Binding::read("inverse_deviation", channels),
            Binding::read("weight", channels),
            Binding::read("sums", 2 * channels),
            Binding::write("d_x", len),
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
        let mut bindings = self.bindings();
        if !self.relu {
            bindings.inputs[2].words = 0;
        }
        Cost::new(6 * self.sizes().len(), &bindings)
    }

    fn reference(&self, args: &mut Args<'_>) {
        let step = args.step;
        let [x, d_y, y, mean, inverse, weight, sums] =
            [0, 1, 2, 3, 4, 5, 6].map(|input| args.input(input));
        let m = self.sizes().count(step);
        each_plane(
            self.sizes(),
            step.rows as usize,
            args.output(),
            #[inline(always)]
            |c, first, d_x| {
                let [mean, inverse, weight] = [mean[c], inverse[c], weight[c]].map(f64::from);
                let [of_bias, of_weight] =
                    [sums[c], sums[self.channels + c]].map(|sum| f64::from(sum) / m);
                let [x, d_y, y] = [x, d_y, y].map(|input| input[first..].iter());
                for (((d_x, &x), &d_y), &y) in d_x.iter_mut().zip(x).zip(d_y).zip(y) {
                    let normal = (f64::from(x) - mean) * inverse;
                    let passing = if !self.relu || passes(y.into()) {
                        f64::from(d_y)
                    } else {
                        0.0
                    };
                    let gradient = passing - of_bias - normal * of_weight;
                    *d_x = (weight * inverse * gradient) as f32;
                }
            },
        );
    }

    /// The longest path to the result has a difference, a quotient (2.5 ulp, and its divisor's
    /// rounding: 6ε), two products, two differences, two products and the reference: 14ε of the
    /// magnitudes of the terms, and one for the products of errors. Flushing changes each input and
    /// each result by at most η, times its cofactor.
    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        if !self.sizes().is_real(index, args.step) {
            return Element::Word(0);
        }
        let channel = self.sizes().channel_of(index);
        let m = self.sizes().count(args.step);
        let gradient = match !self.relu || passes(args.float(2, index)) {
            true => args.float(1, index),
            false => 0.0,
        };
        let deviation = args.float(0, index) - args.float(3, channel);
        let inverse = args.float(4, channel);
        let of_mean = args.float(6, channel) / m;
        let share = args.float(6, self.channels + channel) / m;
        let of_deviation = deviation * inverse * share;
        let weight = args.float(5, channel);

        let scale = weight * inverse;
        let magnitude = gradient.abs() + of_mean.abs() + of_deviation.abs();
        let flushed_of_deviation =
            (4.0 + deviation.abs()) * (1.0 + inverse.abs()) * (1.0 + share.abs());
        let flushed = (4.0 + magnitude + flushed_of_deviation) * (1.0 + inverse.abs());
        Element::Float {
            value: scale * (gradient - of_mean - of_deviation),
            error: 15.0 * EPSILON * magnitude * scale.abs()
                + 2.0 * SMALLEST_NORMAL * flushed * (1.0 + weight.abs()),
        }
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        ErrorBound::of_elements(self, args)
    }
}
