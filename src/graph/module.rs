//! Modules: layers, blocks and models.

use std::fmt::Debug;

use super::Var;
use crate::error::Result;

/// A layer, a block of layers, or a model.
///
/// ```
/// use wgrad::Result;
/// use wgrad::nn::{Conv2d, Module, Var};
///
/// /// Two convolutions, and a way around them.
/// #[derive(Debug)]
/// struct Block {
///     conv1: Conv2d,
///     conv2: Conv2d,
/// }
///
/// impl Module for Block {
///     fn forward<'g>(&self, x: Var<'g>) -> Result<Var<'g>> {
///         let y = x.apply("conv1", &self.conv1)?.relu()?;
///         let y = y.apply("conv2", &self.conv2)?;
///         y.add(x)?.relu()
///     }
/// }
/// ```
pub trait Module: Debug + Send + Sync {
    /// Records the module's computation on `input`.
    ///
    /// # Errors
    /// The input has the wrong shape; the error names the layer, the expected and the actual shape.
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>>;

    /// Its description in tables and errors: `Conv2d(1 → 4, 3×3)`; by default the name of its type.
    fn describe(&self) -> String {
        let name = std::any::type_name::<Self>();
        name.rsplit("::").next().unwrap_or(name).to_owned()
    }
}

impl Module for Box<dyn Module> {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        self.as_ref().forward(input)
    }

    fn describe(&self) -> String {
        self.as_ref().describe()
    }
}
