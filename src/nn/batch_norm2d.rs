//! Batch normalisation of images.

use std::fmt;

use crate::error::{Error, Result};
use crate::graph::{BatchNorm, Module, Parameter, Var};
use crate::plan::{Element, Init};

/// Normalises each channel of an input (N, C, H, W) by its mean and standard deviation, then scales
/// it by a trained weight and adds a trained bias, like PyTorch's `BatchNorm2d`.
///
/// Training uses mean and variance of the batch, inference (evaluation, prediction) the running
/// averages of training. The padding rows of a partial batch do not count.
///
/// ```
/// use wgrad::nn::BatchNorm2d;
/// assert_eq!(BatchNorm2d::new(16).to_string(), "BatchNorm2d(16)");
/// ```
#[derive(Debug, Clone)]
pub struct BatchNorm2d {
    channels: usize,
    norm: BatchNorm,
}

/// PyTorch's defaults.
const DEFAULT: BatchNorm = BatchNorm {
    eps: 1e-5,
    momentum: 0.1,
};

impl BatchNorm2d {
    /// A layer for `channels` channels, with PyTorch's eps of 1e-5 and momentum of 0.1.
    pub fn new(channels: usize) -> Self {
        BatchNorm2d {
            channels,
            norm: DEFAULT,
        }
    }

    /// Sets the value added to the variance, above zero.
    #[must_use]
    pub fn eps(mut self, eps: f32) -> Self {
        self.norm.eps = eps;
        self
    }

    /// Sets the weight of a batch in the running averages, 0 to 1.
    #[must_use]
    pub fn momentum(mut self, momentum: f32) -> Self {
        self.norm.momentum = momentum;
        self
    }
}

impl fmt::Display for BatchNorm2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BatchNorm2d({}", self.channels)?;
        if self.norm.eps != DEFAULT.eps {
            write!(f, ", eps {}", self.norm.eps)?;
        }
        if self.norm.momentum != DEFAULT.momentum {
            write!(f, ", momentum {}", self.norm.momentum)?;
        }
        write!(f, ")")
    }
}

impl Module for BatchNorm2d {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        let (c, shape) = (self.channels, input.shape());
        if shape.dims().len() != 4 {
            return Err(Error::Shape {
                at: input.place(),
                expected: format!("(N, {c}, H, W)"),
                got: shape.to_string(),
            });
        }
        let parameters = [
            Parameter::trained("weight", [c], Init::ONES),
            Parameter::trained("bias", [c], Init::ZEROS),
            Parameter::state("running_mean", [c], Element::F32, Init::ZEROS),
            Parameter::state("running_var", [c], Element::F32, Init::ONES),
            Parameter::state("num_batches_tracked", [1], Element::U32, Init::ZEROS),
        ];
        input.layer(self.norm.clone(), &[], &parameters)
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}
