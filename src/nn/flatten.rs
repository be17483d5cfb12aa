//! Images to rows.

use std::fmt;

use crate::error::Result;
use crate::graph::{self, Module, Var};

/// (N, …) seen as (N, F), F being the product of the rest.
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
