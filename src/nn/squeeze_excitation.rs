//! Squeeze and excitation.

use std::fmt;

use super::{Conv2d, GlobalAvgPool2d};
use crate::error::Result;
use crate::graph::{Activation, Module, Var};

/// Scales each channel by a gate in (0, 1), computed from the means of all channels: two 1×1
/// convolutions with a ReLU between and a sigmoid after (Hu, Shen and Sun, 2018, arXiv:1709.01507).
///
/// Tensors have the names of torchvision's: `fc1.weight` of (S, C, 1, 1), `fc1.bias`, `fc2.weight`
/// of (C, S, 1, 1), `fc2.bias`.
///
/// ```
/// use wgrad::nn::SqueezeExcitation;
/// assert_eq!(SqueezeExcitation::new(64, 4).to_string(), "SqueezeExcitation(64 → 4)");
/// ```
#[derive(Debug, Clone)]
pub struct SqueezeExcitation {
    channels: usize,
    squeezed: usize,
}

impl SqueezeExcitation {
    /// For `channels` channels, squeezed to `squeezed` features: usually a sixteenth of them.
    pub fn new(channels: usize, squeezed: usize) -> Self {
        SqueezeExcitation { channels, squeezed }
    }
}

impl fmt::Display for SqueezeExcitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SqueezeExcitation({} → {})",
            self.channels, self.squeezed
        )
    }
}

impl Module for SqueezeExcitation {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        let squeeze = Conv2d::new(self.channels, self.squeezed, 1);
        let excite = Conv2d::new(self.squeezed, self.channels, 1);
        let means = input.apply("avgpool", &GlobalAvgPool2d)?;
        let hidden = means.apply("fc1", &squeeze)?.relu()?;
        let gates = hidden.apply("fc2", &excite)?;
        input.mul(gates.activation(Activation::Sigmoid)?)
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}
