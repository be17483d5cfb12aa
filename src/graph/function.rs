//! The function of a graph's node.

use std::any::Any;
use std::fmt::Debug;

use super::Site;
use crate::error::Result;
use crate::shape::Shape;

/// A function of values, with its gradient.
///
/// It is lowered to one op per step of its mathematics, for readers of the plan; [`crate::expand`]
/// knows faster ops, if there are any.
pub trait Function: Any + Debug + Send + Sync + FunctionClone {
    /// Its name in plans and texts: `convolution`.
    fn name(&self) -> &'static str;

    /// Its options as text, `stride 1×2, padding 0×1`, except those that the inputs' shapes imply.
    fn options(&self) -> String {
        String::new()
    }

    /// Whether it is at most one op forward, or one per input, which fast plans take as it is; plans
    /// list the other functions for which [`crate::expand`] has nothing faster.
    fn is_one_op(&self) -> bool {
        false
    }

    /// The shape of the output, from those of the inputs; `at` names the layer in errors.
    ///
    /// # Errors
    /// An input has the wrong shape (the error has the expected and the actual one), or an option
    /// is out of range.
    fn output_shape(&self, at: &str, inputs: &[&Shape]) -> Result<Shape>;

    /// Appends the ops that compute the output.
    ///
    /// # Errors
    /// A size exceeds the kernels' indices.
    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()>;

    /// Appends the ops that compute the gradient of each input that has one, from that of the
    /// output.
    ///
    /// # Errors
    /// As [`Function::forward`].
    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()>;
}

/// Makes `Box<dyn Function>` cloneable: every function is `Clone`.
pub trait FunctionClone {
    /// A boxed clone.
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
