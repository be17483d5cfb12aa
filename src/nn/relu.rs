//! ReLU.

use std::fmt;

use crate::error::Result;
use crate::graph::{Module, Relu, Var};

/// `output = max(0, input)`, of any shape. Its gradient at 0 is 0, as in PyTorch.
#[derive(Debug, Clone, Copy)]
pub struct ReLU;

impl fmt::Display for ReLU {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReLU")
    }
}

impl Module for ReLU {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        input.layer(Relu, &[], &[])
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}
