//! Concatenation along channels.

use super::{Function, Site};
use crate::error::{Error, Result};
use crate::ops::CopySlice;
use crate::shape::Shape;

/// Values side by side: (N, C₁, …) to (N, C₁ + C₂ + …, …), like PyTorch's `cat` along dimension 1.
/// All other extents are equal. Each input's gradient is its slice of the output's.
#[derive(Debug, Clone)]
pub struct Concat;

/// N, and the elements of a row.
fn row(shape: &Shape) -> (usize, usize) {
    let dims = shape.dims();
    (dims[0], Shape::new(&dims[1..]).elements())
}

/// The copies of each input into the output.
fn copies(site: &Site<'_, '_>) -> Vec<CopySlice> {
    let (rows, output_row) = row(site.output_shape());
    let mut to = 0;
    let copies = (0..site.inputs()).map(|input| {
        let (_, len) = row(site.shape(input));
        to += len;
        CopySlice::into_rows(rows, len, output_row, to - len)
    });
    copies.collect()
}

impl Function for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    /// One per input, and no op does with fewer.
    fn is_one_op(&self) -> bool {
        true
    }

    fn output_shape(&self, at: &str, inputs: &[&Shape]) -> Result<Shape> {
        let first = inputs[0].dims();
        if first.len() < 2 {
            return Err(Error::Shape {
                at: at.to_owned(),
                expected: "(N, C, H, W) or (N, F)".to_owned(),
                got: inputs[0].to_string(),
            });
        }
        let mut dims = first.to_vec();
        for input in &inputs[1..] {
            let other = input.dims();
            let fits =
                other.len() == first.len() && other[0] == first[0] && other[2..] == first[2..];
            if !fits {
                return Err(Error::Shape {
                    at: at.to_owned(),
                    expected: format!("{} but for the number of channels", inputs[0]),
                    got: input.to_string(),
                });
            }
            dims[1] = dims[1].saturating_add(other[1]);
        }
        Ok(Shape::new(dims))
    }

    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let output = site.make_output()?;
        for (input, copy) in copies(site).into_iter().enumerate() {
            let input = site.input(input)?;
            site.forward(copy, &[input], &[output])?;
        }
        Ok(())
    }

    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let d_output = site.d_output()?;
        for (input, copy) in copies(site).into_iter().enumerate() {
            if let Some(d_input) = site.d_input(input)? {
                site.backward(copy.reversed(), &[d_output], &[d_input])?;
            }
        }
        Ok(())
    }
}
