//! Distributions of a layer's initial weights.

use crate::plan::Init;

/// The distribution of a layer's initial weights. `fan_in` is the number of inputs of each output,
/// `fan_out` the number of outputs that each input reaches: for a convolution times the filter's
/// area. Biases begin at zero, unless stated otherwise.
///
/// ```
/// use wgrad::nn::{Initializer, Linear};
/// let layer = Linear::new(10).init(Initializer::XavierUniform);
/// # let _ = layer;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Initializer {
    /// Normal with standard deviation √(2/fan_in) (He et al., 2015, arXiv:1502.01852): the default.
    #[default]
    HeNormal,
    /// Uniform within ±√(6/fan_in).
    HeUniform,
    /// Normal with standard deviation √(2/(fan_in + fan_out)) (Glorot and Bengio, 2010).
    XavierNormal,
    /// Uniform within ±√(6/(fan_in + fan_out)).
    XavierUniform,
    /// PyTorch's default for convolutions and linear layers: weights and biases are uniform within
    /// ±1/√fan_in.
    PyTorch,
    /// All weights have this value.
    Constant(f32),
}

impl Initializer {
    /// The initial weights.
    pub(super) fn weight(self, fan_in: usize, fan_out: usize) -> Init {
        let (inputs, fans) = (fan_in as f64, (fan_in + fan_out) as f64);
        let uniform = |square: f64| Init::Uniform {
            bound: square.sqrt(),
        };
        match self {
            Initializer::HeNormal => Init::he_normal(fan_in),
            Initializer::XavierNormal => Init::Normal {
                deviation: (2.0 / fans).sqrt(),
            },
            Initializer::HeUniform => uniform(6.0 / inputs),
            Initializer::XavierUniform => uniform(6.0 / fans),
            Initializer::PyTorch => uniform(1.0 / inputs),
            Initializer::Constant(value) => Init::Constant(value),
        }
    }

    /// The initial biases.
    pub(super) fn bias(self, fan_in: usize) -> Init {
        match self {
            Initializer::PyTorch => self.weight(fan_in, 0),
            _ => Init::ZEROS,
        }
    }
}
