//! Softmax over channels.

use super::{Function, Site};
use crate::error::{Error, Result};
use crate::ops::{Channels, SoftmaxBackward, SoftmaxForward};
use crate::shape::Shape;

/// `output[n, c, …] = exp(input[n, c, …]) / Σ exp(input[n, ·, …])`: shares of classes or channels,
/// for an input (N, C, …).
#[derive(Debug, Clone)]
pub struct Softmax;

fn sizes(shape: &Shape) -> Channels {
    let dims = shape.dims();
    Channels {
        rows: dims[0],
        channels: dims[1],
        area: Shape::new(&dims[2..]).elements(),
    }
}

impl Function for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn is_one_op(&self) -> bool {
        true
    }

    fn output_shape(&self, at: &str, inputs: &[&Shape]) -> Result<Shape> {
        if inputs[0].dims().len() < 2 {
            return Err(Error::Shape {
                at: at.to_owned(),
                expected: "(N, C, H, W) or (N, F)".to_owned(),
                got: inputs[0].to_string(),
            });
        }
        Ok(inputs[0].clone())
    }

    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let sizes = sizes(site.output_shape());
        let (input, output) = (site.input(0)?, site.make_output()?);
        site.forward(SoftmaxForward { sizes }, &[input], &[output])
    }

    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let sizes = sizes(site.output_shape());
        let (output, d_output) = (site.output()?, site.d_output()?);
        let read = [output, d_output];
        match site.d_input(0)? {
            Some(d_input) => site.backward(SoftmaxBackward { sizes }, &read, &[d_input]),
            None => Ok(()),
        }
    }
}
