//! Images to rows: a view, without a kernel and without a copy.

use std::fmt;

use super::{Around, Layer};
use crate::error::Result;
use crate::plan::{Builder, TensorId};

/// (N, …) seen as (N, F), F being the product of the rest.
#[derive(Debug, Clone, Copy)]
pub struct Flatten;

impl fmt::Display for Flatten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flatten")
    }
}

impl Layer for Flatten {
    fn stem(&self) -> &'static str {
        "flatten"
    }

    fn forward(&self, plan: &mut Builder, input: TensorId) -> Result<TensorId> {
        let shape = &plan.get(input).shape;
        let n = shape.dims().first().copied().unwrap_or(1);
        let features = shape.elements() / n;
        plan.view(input, "output", [n, features])
    }

    fn backward(&self, plan: &mut Builder, around: Around) -> Result<Option<TensorId>> {
        let shape = plan.get(around.input).shape.clone();
        plan.view(around.d_output, "d_input", shape).map(Some)
    }
}
