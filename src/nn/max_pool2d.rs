//! Max pooling.

use std::fmt;

use super::{Around, Layer, images, place};
use crate::error::{Error, Result};
use crate::ops::{MaxPoolBackward, MaxPoolBackwardAll, MaxPoolForward};
use crate::plan::{Builder, Element, Phase, Role, TensorId};
use crate::shape::{Size2d, Window, WindowedPlanes};

/// Who gets the gradient where several pixels of a window share its maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ties {
    /// The first in row-major order: PyTorch's rule.
    #[default]
    First,
    /// Every one of them, in full: the tutorial's mask.
    All,
}

/// The maximum of each window of each channel. (N, C, H, W) to (N, C, OH, OW).
#[derive(Debug, Clone)]
pub struct MaxPool2d {
    window: Window,
    ties: Ties,
}

impl MaxPool2d {
    /// Pools of size `kernel` that do not overlap: the stride is the kernel's size, as in PyTorch.
    pub fn new(kernel: impl Into<Size2d>) -> Self {
        let kernel = kernel.into();
        MaxPool2d {
            window: Window {
                kernel,
                stride: kernel,
                padding: 0.into(),
            },
            ties: Ties::First,
        }
    }

    /// Distance between two windows: one number, or (height, width).
    #[must_use]
    pub fn stride(mut self, stride: impl Into<Size2d>) -> Self {
        self.window.stride = stride.into();
        self
    }

    /// Rows and columns, added on each side, that never win: at most half the kernel's size.
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Size2d>) -> Self {
        self.window.padding = padding.into();
        self
    }

    /// Who gets the gradient of a tie.
    #[must_use]
    pub fn ties(mut self, ties: Ties) -> Self {
        self.ties = ties;
        self
    }

    fn geometry(&self, plan: &Builder, input: TensorId) -> Result<WindowedPlanes> {
        let (n, c, size) = images(plan, self, input, None)?;
        let Window {
            kernel, padding, ..
        } = self.window;
        let at = place(plan, self);
        // A larger padding would leave a window without a pixel.
        if padding.height > kernel.height / 2 || padding.width > kernel.width / 2 {
            let expected = format!("at most half the kernel of {kernel}");
            return Err(Error::value(format!("{at}: padding"), expected, padding));
        }
        WindowedPlanes::new(n.saturating_mul(c), size, self.window, &at)
    }
}

impl fmt::Display for MaxPool2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Window {
            kernel,
            stride,
            padding,
        } = self.window;
        write!(f, "MaxPool2d({kernel}")?;
        if stride != kernel {
            write!(f, ", stride {stride}")?;
        }
        if padding != 0.into() {
            write!(f, ", padding {padding}")?;
        }
        if self.ties == Ties::All {
            write!(f, ", all ties")?;
        }
        write!(f, ")")
    }
}

impl Layer for MaxPool2d {
    fn stem(&self) -> &'static str {
        "max_pool"
    }

    fn forward(&self, plan: &mut Builder, input: TensorId) -> Result<TensorId> {
        let geometry = self.geometry(plan, input)?;
        let (n, c, _) = images(plan, self, input, None)?;
        let shape = [n, c, geometry.output.height, geometry.output.width];
        let output = plan.activation("output", shape)?;
        let indices = plan.tensor("indices", shape, Element::U32, Role::Activation)?;
        plan.op(
            Phase::Forward,
            MaxPoolForward {
                geometry,
                relu: false,
            },
            &[input],
            &[output, indices],
        )?;
        Ok(output)
    }

    fn backward(&self, plan: &mut Builder, around: Around) -> Result<Option<TensorId>> {
        if !around.needs_d_input {
            return Ok(None);
        }
        let Around {
            input,
            output,
            d_output,
            ..
        } = around;
        let geometry = self.geometry(plan, input)?;
        let d_input = plan.scratch("d_input", plan.get(input).shape.clone())?;
        match self.ties {
            Ties::First => {
                let indices = plan.own("indices")?;
                let pool = MaxPoolBackward {
                    geometry,
                    disjoint: false,
                };
                plan.op(Phase::Backward, pool, &[indices, d_output], &[d_input])?;
            }
            Ties::All => {
                let pool = MaxPoolBackwardAll { geometry };
                plan.op(
                    Phase::Backward,
                    pool,
                    &[input, output, d_output],
                    &[d_input],
                )?;
            }
        }
        Ok(Some(d_input))
    }
}
