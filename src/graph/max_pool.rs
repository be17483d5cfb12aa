//! Max pooling.

use super::text::Options;
use super::{Function, Site};
use crate::error::{Error, Result};
use crate::ops::{MaxPoolBackward, MaxPoolBackwardAll, MaxPoolForward};
use crate::plan::{Element, Role};
use crate::shape::{Shape, Size2d, Window, WindowedPlanes};

/// The pixels that receive the gradient if several share a window's maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ties {
    /// The first in row-major order: PyTorch's rule.
    #[default]
    First,
    /// All of them, in full: the tutorial's mask.
    All,
}

/// The maximum of each window of each channel. (N, C, H, W) to (N, C, OH, OW).
#[derive(Debug, Clone)]
pub struct MaxPool {
    /// The window, of dilation 1.
    pub window: Window,
    /// The rule for ties.
    pub ties: Ties,
}

impl MaxPool {
    pub(super) fn read(options: &Options<'_>) -> Option<Box<dyn Function>> {
        let ties = match options.get::<String>("ties")?.as_str() {
            "first" => Ties::First,
            "all" => Ties::All,
            _ => return None,
        };
        let window = options.window()?;
        Some(Box::new(MaxPool { window, ties }))
    }

    /// The window over the N·C planes of an input (N, C, H, W).
    ///
    /// # Errors
    /// The input is not (N, C, H, W), or the window does not fit.
    pub fn geometry(&self, at: &str, input: &Shape) -> Result<WindowedPlanes> {
        let &[n, c, height, width] = input.dims() else {
            return Err(Error::Shape {
                at: at.to_owned(),
                expected: "(N, C, H, W)".to_owned(),
                got: input.to_string(),
            });
        };
        let Window {
            kernel,
            padding,
            dilation,
            ..
        } = self.window;
        if dilation != 1.into() {
            return Err(Error::value(format!("{at}: dilation"), "1×1", dilation));
        }
        // With a larger padding a window could contain no pixel.
        let along = [
            (padding.top.max(padding.bottom), kernel.height),
            (padding.left.max(padding.right), kernel.width),
        ];
        if along.iter().any(|(padding, kernel)| *padding > kernel / 2) {
            let expected = format!("at most half the kernel of {kernel}");
            return Err(Error::value(format!("{at}: padding"), expected, padding));
        }
        WindowedPlanes::new(
            n.saturating_mul(c),
            Size2d { height, width },
            self.window,
            at,
        )
    }
}

impl Function for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn options(&self) -> String {
        let ties = match self.ties {
            Ties::First => "first",
            Ties::All => "all",
        };
        format!("{}, ties {ties}", self.window)
    }

    fn is_one_op(&self) -> bool {
        true
    }

    fn output_shape(&self, at: &str, inputs: &[&Shape]) -> Result<Shape> {
        let Size2d { height, width } = self.geometry(at, inputs[0])?.output;
        let dims = inputs[0].dims();
        Ok([dims[0], dims[1], height, width].into())
    }

    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let geometry = self.geometry("", site.shape(0))?;
        let (input, output) = (site.input(0)?, site.make_output()?);
        let shape = site.output_shape().clone();
        let indices = site
            .plan()
            .tensor("indices", shape, Element::U32, Role::Activation)?;
        let pool = MaxPoolForward {
            geometry,
            relu: false,
        };
        site.forward(pool, &[input], &[output, indices])
    }

    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let geometry = self.geometry("", site.shape(0))?;
        let d_output = site.d_output()?;
        let (input, output) = (site.input(0)?, site.output()?);
        let Some(d_input) = site.d_input(0)? else {
            return Ok(());
        };
        match self.ties {
            Ties::First => {
                let indices = site.plan().own("indices")?;
                let pool = MaxPoolBackward {
                    geometry,
                    disjoint: false,
                };
                site.backward(pool, &[indices, d_output], &[d_input])
            }
            Ties::All => {
                let pool = MaxPoolBackwardAll { geometry };
                site.backward(pool, &[input, output, d_output], &[d_input])
            }
        }
    }
}
