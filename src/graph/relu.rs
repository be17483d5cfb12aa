//! ReLU.

use super::{Function, Site};
use crate::error::Result;
use crate::ops::{ReluBackward, ReluForward};
use crate::shape::Shape;

/// `output = max(0, input)`, of any shape. Its gradient at 0 is 0, as in PyTorch.
#[derive(Debug, Clone)]
pub struct Relu;

impl Function for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn output_shape(&self, _: &str, inputs: &[&Shape]) -> Result<Shape> {
        Ok(inputs[0].clone())
    }

    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let len = site.output_shape().elements();
        let (input, output) = (site.input(0)?, site.make_output()?);
        site.forward(ReluForward { len }, &[input], &[output])
    }

    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let d_output = site.d_output()?;
        if site.is_masked() {
            site.give(0, d_output);
            return Ok(());
        }
        let len = site.output_shape().elements();
        let (output, d_input) = (site.output()?, site.d_input(0)?);
        let inputs = [output, d_output];
        d_input.map_or(Ok(()), |d_input| {
            site.backward(ReluBackward { len }, &inputs, &[d_input])
        })
    }
}
