//! The product of two values.

use super::{Function, Site};
use crate::error::{Error, Result};
use crate::ops::{self, BiasBackward};
use crate::shape::Shape;

/// `output = a·b`, of equal shapes; or a factor for each plane: b of (N, C, 1, 1) or (N, C) for a of
/// (N, C, H, W).
#[derive(Debug, Clone)]
pub struct Multiply;

/// The product of values of the site's shapes.
fn product(site: &Site<'_, '_>) -> ops::Multiply {
    let planes = site.shape(1).elements();
    let area = site.output_shape().elements() / planes;
    ops::Multiply { planes, area }
}

impl Function for Multiply {
    fn name(&self) -> &'static str {
        "multiply"
    }

    fn is_one_op(&self) -> bool {
        true
    }

    fn output_shape(&self, at: &str, inputs: &[&Shape]) -> Result<Shape> {
        let fits = match (inputs[0].dims(), inputs[1].dims()) {
            (a, b) if a == b => true,
            ([n, c, _, _], [m, d] | [m, d, 1, 1]) => (n, c) == (m, d),
            _ => false,
        };
        if !fits {
            let factors = match *inputs[0].dims() {
                [n, c, _, _] => format!(", ({n}, {c}, 1, 1) or ({n}, {c})"),
                _ => String::new(),
            };
            return Err(Error::Shape {
                at: at.to_owned(),
                expected: format!("a factor of {}{factors}", inputs[0]),
                got: inputs[1].to_string(),
            });
        }
        Ok(inputs[0].clone())
    }

    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let inputs = [site.input(0)?, site.input(1)?];
        let (op, output) = (product(site), site.make_output()?);
        site.forward(op, &inputs, &[output])
    }

    /// `d_a = d_output·b`; `d_b = d_output·a`, summed over each plane if b is a factor for each.
    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let (a, b, d_output) = (site.input(0)?, site.input(1)?, site.d_output()?);
        let op = product(site);
        let (planes, area) = (op.planes, op.area);
        if let Some(d_a) = site.d_input(0)? {
            site.backward(op, &[d_output, b], &[d_a])?;
        }
        let Some(d_b) = site.d_input(1)? else {
            return Ok(());
        };
        let both = ops::Multiply::elementwise(planes * area);
        if area == 1 {
            return site.backward(both, &[d_output, a], &[d_b]);
        }
        let products = site.plan().scratch("d_products", [planes, area])?;
        site.backward(both, &[d_output, a], &[products])?;
        let sums = BiasBackward { rows: planes, area };
        site.backward(sums, &[products], &[d_b])
    }
}
