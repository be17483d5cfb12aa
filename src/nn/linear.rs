//! A fully connected layer.

use std::fmt;

use super::{Around, Layer, place, wrong_shape};
use crate::error::{Error, Result};
use crate::ops::{BiasForward, Gemm, Operand, ReduceSum};
use crate::plan::{Builder, Init, Phase, TensorId};

/// `output = input × weightᵀ + bias`. Input (N, I), weight (O, I), output (N, O).
///
/// `Linear::new(32)` takes I from the shape that flows in when the model is lowered;
/// [`Linear::in_features`] states it, and then another shape is an error.
#[derive(Debug, Clone)]
pub struct Linear {
    in_features: Option<usize>,
    out_features: usize,
    bias: bool,
}

impl Linear {
    /// A layer of `out_features` outputs, with a bias.
    pub fn new(out_features: usize) -> Self {
        Linear {
            in_features: None,
            out_features,
            bias: true,
        }
    }

    /// States how many inputs the layer expects.
    #[must_use]
    pub fn in_features(mut self, in_features: usize) -> Self {
        self.in_features = Some(in_features);
        self
    }

    /// Whether a number is added to each output.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// (N, I) of the input, or the shape error.
    fn rows_and_features(&self, plan: &Builder, input: TensorId) -> Result<(usize, usize)> {
        let shape = &plan.get(input).shape;
        match *shape.dims() {
            [n, i] if self.in_features.is_none_or(|wanted| wanted == i) => Ok((n, i)),
            _ => {
                let wanted = self.in_features.map_or("I".to_owned(), |i| i.to_string());
                Err(wrong_shape(plan, self, &format!("(N, {wanted})"), shape))
            }
        }
    }
}

impl fmt::Display for Linear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Linear(")?;
        if let Some(in_features) = self.in_features {
            write!(f, "{in_features} → ")?;
        }
        write!(f, "{}", self.out_features)?;
        if !self.bias {
            write!(f, ", no bias")?;
        }
        write!(f, ")")
    }
}

impl Layer for Linear {
    fn stem(&self) -> &'static str {
        "linear"
    }

    fn forward(&self, plan: &mut Builder, input: TensorId) -> Result<TensorId> {
        if self.out_features == 0 {
            return Err(Error::value(
                format!("{}: features", place(plan, self)),
                "at least 1",
                0,
            ));
        }
        let (n, i) = self.rows_and_features(plan, input)?;
        let o = self.out_features;
        let (weight, _) = plan.parameter("weight", [o, i], Init::HeNormal { fan_in: i })?;
        let product_name = if self.bias { "product" } else { "output" };
        let product = plan.activation(product_name, [n, o])?;
        let gemm = Gemm::new(1, [n, o, i], Operand::PLAIN, Operand::TRANSPOSED);
        plan.op(Phase::Forward, gemm, &[input, weight], &[product])?;
        if !self.bias {
            return Ok(product);
        }
        let (bias, _) = plan.parameter("bias", [o], Init::Zeros)?;
        let output = plan.activation("output", [n, o])?;
        let add = BiasForward {
            batch: n,
            channels: o,
            area: 1,
        };
        plan.op(Phase::Forward, add, &[product, bias], &[output])?;
        Ok(output)
    }

    /// `d_bias = Σₙ d_output[n]`, `d_weight = d_outputᵀ × input`, `d_input = d_output × weight`.
    fn backward(&self, plan: &mut Builder, around: Around) -> Result<Option<TensorId>> {
        let (n, i) = self.rows_and_features(plan, around.input)?;
        let o = self.out_features;
        let accumulate = plan.accumulate();
        let d_output = around.d_output;
        if self.bias {
            let d_bias = plan.own("d_bias")?;
            let reduce = ReduceSum {
                accumulate,
                ..ReduceSum::new(n, o)
            };
            plan.op(Phase::Backward, reduce, &[d_output], &[d_bias])?;
        }

        let d_weight = plan.own("d_weight")?;
        let gemm = Gemm {
            accumulate,
            ..Gemm::new(1, [o, i, n], Operand::TRANSPOSED, Operand::PLAIN)
        };
        plan.op(
            Phase::Backward,
            gemm,
            &[d_output, around.input],
            &[d_weight],
        )?;

        if !around.needs_d_input {
            return Ok(None);
        }
        let weight = plan.own("weight")?;
        let d_input = plan.scratch("d_input", [n, i])?;
        let gemm = Gemm::new(1, [n, i, o], Operand::PLAIN, Operand::PLAIN);
        plan.op(Phase::Backward, gemm, &[d_output, weight], &[d_input])?;
        Ok(Some(d_input))
    }
}
