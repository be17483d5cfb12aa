//! Global average pooling.

use super::{Function, Site};
use crate::error::{Error, Result};
use crate::ops::{AvgPoolBackward, AvgPoolForward};
use crate::shape::Shape;

/// The mean of each plane: (N, C, H, W) to (N, C, 1, 1).
#[derive(Debug, Clone)]
pub struct GlobalAvgPool;

/// N·C and H·W.
fn sizes(input: &Shape) -> (usize, usize) {
    let dims = input.dims();
    let area = Shape::new(&dims[2..]).elements();
    (input.elements() / area, area)
}

impl Function for GlobalAvgPool {
    fn name(&self) -> &'static str {
        "global_avg_pool"
    }

    fn is_one_op(&self) -> bool {
        true
    }

    fn output_shape(&self, at: &str, inputs: &[&Shape]) -> Result<Shape> {
        match *inputs[0].dims() {
            [n, c, height, width] if height * width > 0 => Ok([n, c, 1, 1].into()),
            _ => Err(Error::Shape {
                at: at.to_owned(),
                expected: "(N, C, H, W)".to_owned(),
                got: inputs[0].to_string(),
            }),
        }
    }

    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let (planes, area) = sizes(site.shape(0));
        let (input, output) = (site.input(0)?, site.make_output()?);
        site.forward(AvgPoolForward { planes, area }, &[input], &[output])
    }

    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let (planes, area) = sizes(site.shape(0));
        let d_output = site.d_output()?;
        match site.d_input(0)? {
            Some(d_input) => {
                site.backward(AvgPoolBackward { planes, area }, &[d_output], &[d_input])
            }
            None => Ok(()),
        }
    }
}
