//! Dropout.

use std::fmt;

use crate::error::Result;
use crate::graph::{self, Module, Var};

/// In training each element is zero with probability p, and divided by 1 − p otherwise; in
/// inference it is the identity.
///
/// The same seed drops the same elements on every device, and after a resume.
#[derive(Debug, Clone, Copy)]
pub struct Dropout {
    probability: f32,
}

impl Dropout {
    /// Drops each element with `probability`, in [0, 1).
    pub fn new(probability: f32) -> Self {
        Dropout { probability }
    }
}

impl fmt::Display for Dropout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dropout({})", self.probability)
    }
}

impl Module for Dropout {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        let probability = self.probability;
        input.layer(graph::Dropout { probability }, &[], &[])
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}
