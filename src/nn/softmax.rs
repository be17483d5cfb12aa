//! Softmax.

use std::fmt;

use crate::error::Result;
use crate::graph::{self, Module, Var};

/// exp(x) over the sum of exp over all channels of the same place: shares that add up to one, for
/// (N, C, H, W) and (N, F), like PyTorch's `Softmax(dim=1)`.
///
/// A classifier trained with [`Loss::CrossEntropy`](crate::Loss) ends without it: that loss takes
/// logits.
#[derive(Debug, Clone, Copy)]
pub struct Softmax;

impl fmt::Display for Softmax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Softmax")
    }
}

impl Module for Softmax {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        input.layer(graph::Softmax, &[], &[])
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}
