//! Images to rows: a view, without a kernel or a copy.

use super::{Function, Site};
use crate::error::Result;
use crate::shape::Shape;

/// Views (N, …) as (N, F), where F is the product of the other extents.
#[derive(Debug, Clone)]
pub struct Flatten;

impl Function for Flatten {
    fn name(&self) -> &'static str {
        "flatten"
    }

    fn is_one_op(&self) -> bool {
        true
    }

    fn output_shape(&self, _: &str, inputs: &[&Shape]) -> Result<Shape> {
        let [n, rest @ ..] = inputs[0].dims() else {
            return Ok([1, 1].into());
        };
        Ok([*n, Shape::new(rest).elements()].into())
    }

    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let (input, shape) = (site.input(0)?, site.output_shape().clone());
        let output = site.plan().view(input, "output", shape)?;
        site.set_output(output);
        Ok(())
    }

    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let (d_output, shape) = (site.d_output()?, site.shape(0).clone());
        let d_input = site.plan().view(d_output, "d_input", shape)?;
        site.give(0, d_input);
        Ok(())
    }
}
