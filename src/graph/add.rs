//! The sum of two values, which joins branches of a model.

use super::{Function, Site};
use crate::error::{Error, Result};
use crate::ops;
use crate::shape::Shape;

/// `output = a + b`, of equal shapes. Both gradients are that of the output.
#[derive(Debug, Clone)]
pub struct Add;

impl Function for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn output_shape(&self, at: &str, inputs: &[&Shape]) -> Result<Shape> {
        if inputs[0] != inputs[1] {
            return Err(Error::Shape {
                at: at.to_owned(),
                expected: format!("two tensors of {}", inputs[0]),
                got: inputs[1].to_string(),
            });
        }
        Ok(inputs[0].clone())
    }

    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let len = site.output_shape().elements();
        let inputs = [site.input(0)?, site.input(1)?];
        let output = site.make_output()?;
        site.forward(ops::Add { len, relu: false }, &inputs, &[output])
    }

    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let d_output = site.d_output()?;
        site.give(0, d_output);
        site.give(1, d_output);
        Ok(())
    }
}
