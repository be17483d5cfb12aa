//! Values and slopes of activations, and how far a kernel in f32 may be from them.
//!
//! With ε for one rounding, WGSL grants exp(a) a relative error of (3 + 2·|a|)·2ε, and a division
//! 5ε. The bounds are of first order, times [`SECOND_ORDER`].

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use crate::ops::{Activation, EPSILON, Element, SMALLEST_NORMAL};

/// Covers the products of errors that bounds of first order leave out.
const SECOND_ORDER: f64 = 1.01;

/// A value, and the error of a kernel that approximates it.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct Approximation {
    pub value: f64,
    pub error: f64,
}

impl Approximation {
    /// A value with a relative error of `errors`·ε.
    fn relative(value: f64, errors: f64) -> Self {
        Approximation {
            value,
            error: errors * EPSILON * value.abs(),
        }
    }

    /// With a rounding, and what flushing subnormals loses.
    fn rounded(self, value: f64) -> Self {
        Approximation {
            value,
            error: self.error + EPSILON * value.abs() + SMALLEST_NORMAL,
        }
    }

    /// The product with an exact factor, rounded. If the adapter flushes the factor or the value,
    /// the other is lost times the smallest normal number.
    pub fn times(self, factor: f64) -> Self {
        let product = Approximation {
            value: self.value,
            error: (self.error + SMALLEST_NORMAL) * factor.abs()
                + SMALLEST_NORMAL * self.value.abs(),
        };
        product.rounded(self.value * factor)
    }

    /// The sum, rounded.
    fn plus(self, other: Self) -> Self {
        let sum = Approximation {
            value: self.value,
            error: self.error + other.error,
        };
        sum.rounded(self.value + other.value)
    }
}

impl From<Approximation> for Element {
    fn from(Approximation { value, error }: Approximation) -> Self {
        Element::Float {
            value,
            error: SECOND_ORDER * error,
        }
    }
}

/// The relative error, in ε, of e^−|x| whose argument is off by `argument`·ε·|x|.
fn decay_error(x: f64, argument: f64) -> f64 {
    2.0 * (3.0 + 2.0 * x.abs()) + argument * x.abs()
}

/// sigmoid(x) with x off by `argument`·ε·|x|: z/(1 + z), or 1/(1 + z), with z = e^−|x|. An error of
/// z changes them by a share of 1/(1 + z), or of z/(1 + z).
fn sigmoid(x: f64, argument: f64) -> Approximation {
    let z = (-x.abs()).exp();
    let (value, share) = if x >= 0.0 {
        (1.0 / (1.0 + z), z / (1.0 + z))
    } else {
        (z / (1.0 + z), 1.0 / (1.0 + z))
    };
    let sigmoid = Approximation::relative(value, decay_error(x, argument) * share + 7.0);
    Approximation {
        error: sigmoid.error + SMALLEST_NORMAL,
        ..sigmoid
    }
}

/// sigmoid(x)·sigmoid(−x) = z/(1 + z)².
fn sigmoid_slope(x: f64, argument: f64) -> Approximation {
    let z = (-x.abs()).exp();
    let slope =
        Approximation::relative(z / ((1.0 + z) * (1.0 + z)), decay_error(x, argument) + 10.0);
    Approximation {
        error: slope.error + SMALLEST_NORMAL,
        ..slope
    }
}

/// Below 0.625 a polynomial within 2ε, evaluated near x; above (1 − z)/(1 + z) with z = e^−2|x|,
/// whose derivative by z is −2/(1 + z)².
fn tanh(x: f64) -> Approximation {
    let value = x.tanh();
    if x.abs() < 0.625 {
        return Approximation::relative(value, 6.0).rounded(value);
    }
    let z = (-2.0 * x.abs()).exp();
    let of_decay = 2.0 * z / ((1.0 + z) * (1.0 + z)) * decay_error(2.0 * x, 0.0) * EPSILON;
    let rest = Approximation::relative(value, 9.0);
    Approximation {
        value,
        error: of_decay + rest.error + SMALLEST_NORMAL,
    }
}

/// Φ(x), from the tail q = Φ(−|x|): the fit is within 2.1ε; its exponent, of magnitude x²/2 + 1.3,
/// is off by x² + 22 roundings, and exp by 2·(3 + 2·(x²/2 + 1.5)); 6 are left for the factors.
fn normal_integral(x: f64) -> Approximation {
    let tail = 0.5 * libm::erfc(x.abs() * FRAC_1_SQRT_2);
    let tail = Approximation::relative(tail, 42.0 + 3.0 * x * x);
    if x < 0.0 {
        return Approximation {
            error: tail.error + SMALLEST_NORMAL,
            ..tail
        };
    }
    tail.rounded(1.0 - tail.value)
}

/// x·φ(x), with the normal density φ: its exponent is off by 1.5·x² roundings at most, exp by
/// 2·(3 + x²).
fn weighted_density(x: f64) -> Approximation {
    let density = (-0.5 * x * x).exp() / (2.0 * PI).sqrt();
    Approximation::relative(density, 9.0 + 3.5 * x * x).times(x)
}

/// Twice √(2/π)·(x + 0.044715·x³), and its derivative; each within 8ε.
fn gelu_argument(x: f64) -> (f64, f64) {
    let twice = 2.0 * (2.0 / PI).sqrt();
    (
        twice * (x + 0.044715 * x * x * x),
        twice * (1.0 + 0.134145 * x * x),
    )
}

/// The errors, in ε, of [`gelu_argument`].
const ARGUMENT: f64 = 8.0;

impl Activation {
    /// f(x).
    pub(in crate::ops) fn value(self, x: f64) -> Approximation {
        if x.is_nan() {
            return Approximation::relative(x, 0.0);
        }
        match self {
            Activation::LeakyRelu(_) if x > 0.0 => Approximation {
                value: x,
                error: SMALLEST_NORMAL,
            },
            Activation::LeakyRelu(slope) => Approximation::relative(x, 0.0).times(slope.into()),
            Activation::Sigmoid => sigmoid(x, 0.0),
            Activation::Tanh => tanh(x),
            Activation::Silu => sigmoid(x, 0.0).times(x),
            Activation::Gelu => normal_integral(x).times(x),
            Activation::GeluTanh => sigmoid(gelu_argument(x).0, ARGUMENT).times(x),
        }
    }

    /// f'(x).
    pub(in crate::ops) fn slope(self, x: f64) -> Approximation {
        if x.is_nan() {
            return Approximation::relative(x, 0.0);
        }
        // As in the kernel: beyond, the second summands vanish.
        let near = x.clamp(-16.0, 16.0);
        match self {
            Activation::LeakyRelu(slope) => {
                let value = if x > 0.0 { 1.0 } else { slope.into() };
                Approximation::relative(value, 0.0)
            }
            Activation::Sigmoid => sigmoid_slope(x, 0.0),
            Activation::Tanh => {
                let slope = sigmoid_slope(2.0 * x, 0.0);
                slope.times(4.0)
            }
            Activation::Silu => sigmoid(x, 0.0).plus(sigmoid_slope(x, 0.0).times(x)),
            Activation::Gelu => normal_integral(x).plus(weighted_density(near)),
            Activation::GeluTanh => {
                let (argument, derivative) = gelu_argument(near);
                let slope = sigmoid_slope(argument, ARGUMENT).times(derivative);
                let slope = Approximation {
                    error: slope.error + ARGUMENT * EPSILON * slope.value.abs(),
                    ..slope
                };
                sigmoid(argument, ARGUMENT).plus(slope.times(near))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_derivatives_and_bounds_are_some_roundings() {
        for function in Activation::ALL {
            for step in -400..=400 {
                let (x, h) = (f64::from(step) / 50.0 + 0.003, 1e-5);
                let difference =
                    (function.value(x + h).value - function.value(x - h).value) / (2.0 * h);
                let Approximation { value, error } = function.slope(x);
                assert!((difference - value).abs() < 1e-8, "{function:?} at {x}");
                assert!(
                    error < 1e-5 && function.value(x).error < 1e-5,
                    "{function:?} at {x}"
                );
            }
        }
    }

    #[test]
    fn large_arguments_saturate() {
        for x in [1e4, 1e30] {
            assert_eq!(Activation::Sigmoid.value(-x).value, 0.0);
            assert_eq!(Activation::Tanh.value(-x).value, -1.0);
            for function in [Activation::Silu, Activation::Gelu, Activation::GeluTanh] {
                assert_eq!(function.value(x).value, x);
                assert_eq!(function.value(-x).value, 0.0);
            }
        }
    }
}
