//! Resizing of planes.

use std::fmt;

use crate::error::Result;
use crate::graph::{self, Interpolation, Module, Scale, Var};
use crate::shape::Size2d;

/// Resizes each channel by a whole factor or to a size: (N, C, H, W) to (N, C, OH, OW), to the
/// nearest pixel or bilinearly, like PyTorch's `Upsample` without `align_corners`.
///
/// ```
/// use wgrad::nn::Upsample;
/// assert_eq!(Upsample::by(2).bilinear().to_string(), "Upsample(by 2×2, bilinear)");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Upsample {
    scale: Scale,
    interpolation: Interpolation,
}

impl Upsample {
    /// To `factor` times the size: one number, or (height, width). Each output is the nearest
    /// pixel.
    pub fn by(factor: impl Into<Size2d>) -> Self {
        Upsample {
            scale: Scale::By(factor.into()),
            interpolation: Interpolation::Nearest,
        }
    }

    /// To that size, which may be smaller. Each output is the nearest pixel.
    pub fn to(size: impl Into<Size2d>) -> Self {
        Upsample {
            scale: Scale::To(size.into()),
            interpolation: Interpolation::Nearest,
        }
    }

    /// Mixes the four pixels around an output, as PyTorch's `mode="bilinear"`.
    #[must_use]
    pub fn bilinear(self) -> Self {
        Upsample {
            interpolation: Interpolation::Bilinear,
            ..self
        }
    }
}

impl fmt::Display for Upsample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scale {
            Scale::By(factor) => write!(f, "Upsample(by {factor}")?,
            Scale::To(size) => write!(f, "Upsample(to {size}")?,
        }
        match self.interpolation {
            Interpolation::Nearest => write!(f, ")"),
            Interpolation::Bilinear => write!(f, ", bilinear)"),
        }
    }
}

impl Module for Upsample {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        let resize = graph::Upsample {
            scale: self.scale,
            interpolation: self.interpolation,
        };
        input.layer(resize, &[], &[])
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}
