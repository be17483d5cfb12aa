//! Dropout of elements, and of whole planes.

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
        let dropout = graph::Dropout {
            probability: self.probability,
            planes: false,
        };
        input.layer(dropout, &[], &[])
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}

/// Like [`Dropout`], for whole planes of (N, C, H, W): neighbouring pixels are alike, so that
/// dropping one of them loses little (Tompson et al., 2015, arXiv:1411.4280).
#[derive(Debug, Clone, Copy)]
pub struct Dropout2d {
    probability: f32,
}

impl Dropout2d {
    /// Drops each plane with `probability`, in [0, 1).
    pub fn new(probability: f32) -> Self {
        Dropout2d { probability }
    }
}

impl fmt::Display for Dropout2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dropout2d({})", self.probability)
    }
}

impl Module for Dropout2d {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        let dropout = graph::Dropout {
            probability: self.probability,
            planes: true,
        };
        input.layer(dropout, &[], &[])
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}
