//! Normalisation within samples.

use std::fmt;

use crate::error::{Error, Result};
use crate::graph::{self, Module, Parameter, Var};
use crate::plan::Init;
use crate::shape::Shape;

/// PyTorch's default.
const EPS: f32 = 1e-5;

/// Normalises each group of channels of each sample by its mean and standard deviation, then scales
/// each channel by a trained weight and adds a trained bias, like PyTorch's `GroupNorm`. It does
/// the same in training and inference, whatever the batch. One group is layer normalisation of
/// images, a group per channel instance normalisation.
///
/// ```
/// use wgrad::nn::GroupNorm;
/// assert_eq!(GroupNorm::new(4, 16).to_string(), "GroupNorm(4, 16)");
/// ```
#[derive(Debug, Clone)]
pub struct GroupNorm {
    groups: usize,
    channels: usize,
    eps: f32,
    affine: bool,
}

impl GroupNorm {
    /// `groups` groups of `channels` channels, for (N, C, H, W) or (N, C), with PyTorch's eps of
    /// 1e-5.
    pub fn new(groups: usize, channels: usize) -> Self {
        GroupNorm {
            groups,
            channels,
            eps: EPS,
            affine: true,
        }
    }

    /// Sets the value added to the variance, above zero.
    #[must_use]
    pub fn eps(self, eps: f32) -> Self {
        GroupNorm { eps, ..self }
    }

    /// Whether there are trained weights and biases, as by default.
    #[must_use]
    pub fn affine(self, affine: bool) -> Self {
        GroupNorm { affine, ..self }
    }
}

impl fmt::Display for GroupNorm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupNorm({}, {}", self.groups, self.channels)?;
        write_options(f, self.eps, self.affine)
    }
}

impl Module for GroupNorm {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        let (c, shape) = (self.channels, input.shape());
        if shape.dims().get(1) != Some(&c) {
            return Err(Error::Shape {
                at: input.place(),
                expected: format!("(N, {c}, H, W) or (N, {c})"),
                got: shape.to_string(),
            });
        }
        let norm = graph::GroupNorm {
            groups: self.groups,
            eps: self.eps,
        };
        input.layer(norm, &[], &parameters(self.affine, &[c].into()))
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}

/// Normalises over the last extents, then multiplies by trained weights and adds trained biases of
/// their shape, like PyTorch's `LayerNorm`: over F for (N, F), over W, (H, W) or (C, H, W) for
/// (N, C, H, W).
///
/// ```
/// use wgrad::nn::LayerNorm;
/// assert_eq!(LayerNorm::new([16, 7, 7]).to_string(), "LayerNorm(16, 7, 7)");
/// ```
#[derive(Debug, Clone)]
pub struct LayerNorm {
    shape: Shape,
    eps: f32,
    affine: bool,
}

impl LayerNorm {
    /// Over the last extents, which are `shape`, with PyTorch's eps of 1e-5.
    pub fn new(shape: impl Into<Shape>) -> Self {
        LayerNorm {
            shape: shape.into(),
            eps: EPS,
            affine: true,
        }
    }

    /// Sets the value added to the variance, above zero.
    #[must_use]
    pub fn eps(self, eps: f32) -> Self {
        LayerNorm { eps, ..self }
    }

    /// Whether there are trained weights and biases, as by default: PyTorch's `elementwise_affine`.
    #[must_use]
    pub fn affine(self, affine: bool) -> Self {
        LayerNorm { affine, ..self }
    }
}

impl fmt::Display for LayerNorm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.shape.dims().iter().map(usize::to_string).collect();
        write!(f, "LayerNorm({}", dims.join(", "))?;
        write_options(f, self.eps, self.affine)
    }
}

impl Module for LayerNorm {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        let norm = graph::LayerNorm {
            shape: self.shape.clone(),
            eps: self.eps,
        };
        input.layer(norm, &[], &parameters(self.affine, &self.shape))
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}

/// Weights of one and biases of zero, or nothing.
fn parameters(affine: bool, shape: &Shape) -> Vec<Parameter> {
    match affine {
        true => vec![
            Parameter::trained("weight", shape.clone(), Init::ONES),
            Parameter::trained("bias", shape.clone(), Init::ZEROS),
        ],
        false => Vec::new(),
    }
}

/// The options that are not defaults, and the end.
fn write_options(f: &mut fmt::Formatter<'_>, eps: f32, affine: bool) -> fmt::Result {
    if eps != EPS {
        write!(f, ", eps {eps}")?;
    }
    if !affine {
        write!(f, ", not affine")?;
    }
    write!(f, ")")
}
