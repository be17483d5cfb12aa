//! Global average pooling.

use std::fmt;

use crate::error::Result;
use crate::graph::{GlobalAvgPool, Module, Var};

/// The mean of each channel: (N, C, H, W) to (N, C, 1, 1), like PyTorch's `AdaptiveAvgPool2d(1)`.
#[derive(Debug, Clone, Copy)]
pub struct GlobalAvgPool2d;

impl fmt::Display for GlobalAvgPool2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GlobalAvgPool2d")
    }
}

impl Module for GlobalAvgPool2d {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        input.layer(GlobalAvgPool, &[], &[])
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}
