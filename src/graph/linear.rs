//! A fully connected layer as a matrix product.

use super::{Function, Site};
use crate::error::{Error, Result};
use crate::ops::{BiasForward, Gemm, Operand, ReduceSum};
use crate::shape::Shape;

/// `output = input × weightᵀ + bias`. Input (N, I), weight (O, I), output (N, O); the bias (O) is
/// optional.
#[derive(Debug, Clone)]
pub struct Linear;

/// N, O and I.
pub(crate) fn sizes(input: &Shape, weight: &Shape) -> [usize; 3] {
    [input.dims()[0], weight.dims()[0], weight.dims()[1]]
}

impl Function for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn output_shape(&self, at: &str, inputs: &[&Shape]) -> Result<Shape> {
        let (input, weight) = (inputs[0].dims(), inputs[1].dims());
        match (input, weight) {
            ([n, i], [o, wanted]) if i == wanted => Ok([*n, *o].into()),
            _ => Err(Error::Shape {
                at: at.to_owned(),
                expected: format!("(N, {})", weight[1]),
                got: inputs[0].to_string(),
            }),
        }
    }

    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let [n, o, i] = sizes(site.shape(0), site.shape(1));
        let gemm = Gemm::new(1, [n, o, i], Operand::PLAIN, Operand::TRANSPOSED);
        let factors = [site.input(0)?, site.input(1)?];
        if site.inputs() == 2 {
            let output = site.make_output()?;
            return site.forward(gemm, &factors, &[output]);
        }
        let product = site.plan().activation("product", [n, o])?;
        site.forward(gemm, &factors, &[product])?;
        let add = BiasForward {
            batch: n,
            channels: o,
            area: 1,
        };
        let (bias, output) = (site.input(2)?, site.make_output()?);
        site.forward(add, &[product, bias], &[output])
    }

    /// `d_bias = Σₙ d_output[n]`, `d_weight = d_outputᵀ × input`, `d_input = d_output × weight`.
    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let [n, o, i] = sizes(site.shape(0), site.shape(1));
        let d_output = site.d_output()?;
        let (input, weight) = (site.input(0)?, site.input(1)?);
        if site.inputs() == 3 {
            let (d_bias, accumulate) = site.d_parameter(2)?;
            let reduce = ReduceSum {
                accumulate,
                ..ReduceSum::new(n, o)
            };
            site.backward(reduce, &[d_output], &[d_bias])?;
        }
        let (d_weight, accumulate) = site.d_parameter(1)?;
        let gemm = Gemm {
            accumulate,
            ..Gemm::new(1, [o, i, n], Operand::TRANSPOSED, Operand::PLAIN)
        };
        site.backward(gemm, &[d_output, input], &[d_weight])?;
        let Some(d_input) = site.d_input(0)? else {
            return Ok(());
        };
        let gemm = Gemm::new(1, [n, i, o], Operand::PLAIN, Operand::PLAIN);
        site.backward(gemm, &[d_output, weight], &[d_input])
    }
}
