//! ReLU: `max(0, x)`.

use std::fmt;

use super::{Around, Layer};
use crate::error::Result;
use crate::ops::{ReluBackward, ReluForward};
use crate::plan::{Builder, Phase, TensorId};

/// `output = max(0, input)`, of any shape. Its gradient at 0 is 0, as in PyTorch.
#[derive(Debug, Clone, Copy)]
pub struct ReLU;

impl fmt::Display for ReLU {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReLU")
    }
}

impl Layer for ReLU {
    fn stem(&self) -> &'static str {
        "relu"
    }

    fn forward(&self, plan: &mut Builder, input: TensorId) -> Result<TensorId> {
        let shape = plan.get(input).shape.clone();
        let relu = ReluForward {
            len: shape.elements(),
        };
        let output = plan.activation("output", shape)?;
        plan.op(Phase::Forward, relu, &[input], &[output])?;
        Ok(output)
    }

    fn backward(&self, plan: &mut Builder, around: Around) -> Result<Option<TensorId>> {
        if !around.needs_d_input {
            return Ok(None);
        }
        let shape = plan.get(around.input).shape.clone();
        let relu = ReluBackward {
            len: shape.elements(),
        };
        let d_input = plan.scratch("d_input", shape)?;
        plan.op(
            Phase::Backward,
            relu,
            &[around.output, around.d_output],
            &[d_input],
        )?;
        Ok(Some(d_input))
    }
}
