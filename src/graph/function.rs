//! What a node of a graph computes.

use std::any::Any;
use std::fmt::Debug;

use super::Site;
use crate::error::Result;
use crate::shape::Shape;

/// A function of values, with its gradient.
///
/// It is written as ops one step of its mathematics at a time, for whoever reads the plan; where there are
/// faster ops for it, [`crate::expand`] knows them.
pub trait Function: Any + Debug + Send + Sync + FunctionClone {
    /// What plans and texts call it: `convolution`.
    fn name(&self) -> &'static str;

    /// Its options as text, `stride 1×2, padding 0×1`, as far as they are not the inputs' shapes.
    fn options(&self) -> String {
        String::new()
    }

    /// The shape of the output, from those of the inputs; `at` names the layer in errors.
    ///
    /// # Errors
    /// Inputs that do not fit: the shape that was expected, and the one that came; an option out of range.
    fn output_shape(&self, at: &str, inputs: &[&Shape]) -> Result<Shape>;

    /// Appends the ops that compute the output.
    ///
    /// # Errors
    /// Sizes that kernels cannot address.
    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()>;

    /// Appends the ops that compute the gradient of each input that has one, from that of the output.
    ///
    /// # Errors
    /// As [`Function::forward`].
    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()>;
}

/// What lets a `Box<dyn Function>` be cloned: every function is `Clone`.
pub trait FunctionClone {
    /// The same function, boxed.
    fn boxed(&self) -> Box<dyn Function>;
}

impl<T: Function + Clone> FunctionClone for T {
    fn boxed(&self) -> Box<dyn Function> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Function> {
    fn clone(&self) -> Self {
        self.as_ref().boxed()
    }
}
