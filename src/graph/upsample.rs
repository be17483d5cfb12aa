//! Planes resized.

use super::text::Options;
use super::{Function, Site};
use crate::error::{Error, Result};
pub use crate::ops::Interpolation;
use crate::ops::{Resize, UpsampleBackward, UpsampleForward, check_ratios};
use crate::shape::{Shape, Size2d};

/// The size of resized planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// That many times the input's, per axis.
    By(Size2d),
    /// That size.
    To(Size2d),
}

/// Resizes each plane, like PyTorch's `interpolate`: (N, C, H, W) to (N, C, OH, OW).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upsample {
    /// The new size.
    pub scale: Scale,
    /// Which pixels an output reads.
    pub interpolation: Interpolation,
}

impl Upsample {
    pub(super) fn read(options: &Options<'_>) -> Option<Box<dyn Function>> {
        let scale = match options.get("scale") {
            Some(factor) => Scale::By(factor),
            None => Scale::To(options.get("size")?),
        };
        let interpolation = match options.get::<String>("mode")?.as_str() {
            "nearest" => Interpolation::Nearest,
            "bilinear" => Interpolation::Bilinear,
            _ => return None,
        };
        Some(Box::new(Upsample {
            scale,
            interpolation,
        }))
    }

    fn resize(&self, at: &str, input: &Shape) -> Result<Resize> {
        let &[n, c, height, width] = input.dims() else {
            return Err(Error::Shape {
                at: at.to_owned(),
                expected: "(N, C, H, W)".to_owned(),
                got: input.to_string(),
            });
        };
        let input = Size2d { height, width };
        let output = match self.scale {
            Scale::By(factor) => Size2d {
                height: height.saturating_mul(factor.height),
                width: width.saturating_mul(factor.width),
            },
            Scale::To(size) => size,
        };
        check_ratios(at, input, output)?;
        Ok(Resize {
            planes: n.saturating_mul(c),
            input,
            output,
            interpolation: self.interpolation,
        })
    }
}

impl Function for Upsample {
    fn name(&self) -> &'static str {
        "upsample"
    }

    fn options(&self) -> String {
        let size = match self.scale {
            Scale::By(factor) => format!("scale {factor}"),
            Scale::To(size) => format!("size {size}"),
        };
        let mode = match self.interpolation {
            Interpolation::Nearest => "nearest",
            Interpolation::Bilinear => "bilinear",
        };
        format!("{size}, mode {mode}")
    }

    fn is_one_op(&self) -> bool {
        true
    }

    fn output_shape(&self, at: &str, inputs: &[&Shape]) -> Result<Shape> {
        let Size2d { height, width } = self.resize(at, inputs[0])?.output;
        let dims = inputs[0].dims();
        Ok([dims[0], dims[1], height, width].into())
    }

    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let resize = self.resize("", site.shape(0))?;
        let (input, output) = (site.input(0)?, site.make_output()?);
        site.forward(UpsampleForward { resize }, &[input], &[output])
    }

    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let resize = self.resize("", site.shape(0))?;
        let d_output = site.d_output()?;
        match site.d_input(0)? {
            Some(d_input) => site.backward(UpsampleBackward { resize }, &[d_output], &[d_input]),
            None => Ok(()),
        }
    }
}
