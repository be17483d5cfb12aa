//! Images to rows.

use std::fmt;

use crate::error::Result;
use crate::graph::{self, Module, Var};

/// Views (N, …) as (N, F), where F is the product of the other extents.
#[derive(Debug, Clone, Copy)]
pub struct Flatten;

impl fmt::Display for Flatten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flatten")
    }
}

impl Module for Flatten {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        input.layer(graph::Flatten, &[], &[])
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}
