//! Average pooling: of windows, and to a given size.

use std::fmt;

use crate::error::Result;
use crate::graph::{AdaptiveAvgPool, AvgPool, Module, Var};
use crate::shape::Size2d;

/// The mean of each window of each channel. (N, C, H, W) to (N, C, OH, OW).
#[derive(Debug, Clone)]
pub struct AvgPool2d {
    pool: AvgPool,
}

impl AvgPool2d {
    /// A pool with windows of size `kernel` that do not overlap: the stride is the window's size,
    /// as in PyTorch.
    pub fn new(kernel: impl Into<Size2d>) -> Self {
        let kernel = kernel.into();
        AvgPool2d {
            pool: AvgPool {
                kernel,
                stride: kernel,
                padding: 0.into(),
                count_padding: true,
            },
        }
    }

    /// Sets the stride: one number, or (height, width).
    #[must_use]
    pub fn stride(mut self, stride: impl Into<Size2d>) -> Self {
        self.pool.stride = stride.into();
        self
    }

    /// Sets the zeros on each side: at most half the window's size.
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Size2d>) -> Self {
        self.pool.padding = padding.into();
        self
    }

    /// Whether the padding counts in means, as by default, or these are over pixels only: PyTorch's
    /// `count_include_pad`.
    #[must_use]
    pub fn count_padding(mut self, count_padding: bool) -> Self {
        self.pool.count_padding = count_padding;
        self
    }
}

impl fmt::Display for AvgPool2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AvgPool {
            kernel,
            stride,
            padding,
            count_padding,
        } = self.pool;
        write!(f, "AvgPool2d({kernel}")?;
        if stride != kernel {
            write!(f, ", stride {stride}")?;
        }
        if padding != 0.into() {
            write!(f, ", padding {padding}")?;
        }
        if !count_padding {
            write!(f, ", of pixels")?;
        }
        write!(f, ")")
    }
}

impl Module for AvgPool2d {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        input.layer(self.pool.clone(), &[], &[])
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}

/// Means of OH×OW bins of each channel, which together cover it: (N, C, H, W) to (N, C, OH, OW) for
/// any H and W, like PyTorch's `AdaptiveAvgPool2d`.
#[derive(Debug, Clone)]
pub struct AdaptiveAvgPool2d {
    output: Size2d,
}

impl AdaptiveAvgPool2d {
    /// To that size: one number, or (height, width).
    pub fn new(output: impl Into<Size2d>) -> Self {
        AdaptiveAvgPool2d {
            output: output.into(),
        }
    }
}

impl fmt::Display for AdaptiveAvgPool2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AdaptiveAvgPool2d({})", self.output)
    }
}

impl Module for AdaptiveAvgPool2d {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        let output = self.output;
        input.layer(AdaptiveAvgPool { output }, &[], &[])
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}
