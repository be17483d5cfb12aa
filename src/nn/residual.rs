//! A residual block.

use super::Sequential;
use crate::error::Result;
use crate::graph::{Module, Var};

/// `body(x) + x` (He et al., 2016, arXiv:1512.03385); with a projection, `body(x) + projection(x)`,
/// for a body whose output has another shape.
///
/// Tensors are named `body.0.weight` and `shortcut.0.weight`, within the name of the block.
///
/// ```
/// use wgrad::nn::{BatchNorm2d, Conv2d, ReLU, Residual, Sequential};
/// let body = Sequential::new()
///     .with(Conv2d::new(16, 32, 3).stride(2).padding(1).bias(false))
///     .with(BatchNorm2d::new(32))
///     .with(ReLU)
///     .with(Conv2d::new(32, 32, 3).padding(1).bias(false))
///     .with(BatchNorm2d::new(32));
/// let projection = Sequential::new()
///     .with(Conv2d::new(16, 32, 1).stride(2).bias(false))
///     .with(BatchNorm2d::new(32));
/// let block = Sequential::new()
///     .with(Residual::new(body).projection(projection))
///     .with(ReLU);
/// # assert_eq!(block.len(), 2);
/// ```
#[derive(Debug)]
pub struct Residual {
    body: Sequential,
    projection: Option<Sequential>,
}

impl Residual {
    /// Adds the input to the output of `body`.
    pub fn new(body: Sequential) -> Self {
        Residual {
            body,
            projection: None,
        }
    }

    /// Adds the output of `projection` instead of the input.
    #[must_use]
    pub fn projection(mut self, projection: Sequential) -> Self {
        self.projection = Some(projection);
        self
    }
}

impl Module for Residual {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        let output = input.apply("body", &self.body)?;
        let shortcut = match &self.projection {
            Some(projection) => input.apply("shortcut", projection)?,
            None => input,
        };
        output.add(shortcut)
    }
}
