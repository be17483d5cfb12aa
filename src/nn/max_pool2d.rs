//! Max pooling.

use std::fmt;

use crate::error::Result;
use crate::graph::{MaxPool, Module, Ties, Var};
use crate::shape::{Size2d, Window};

/// The maximum of each window of each channel. (N, C, H, W) to (N, C, OH, OW).
#[derive(Debug, Clone)]
pub struct MaxPool2d {
    window: Window,
    ties: Ties,
}

impl MaxPool2d {
    /// A pool with windows of size `kernel` that do not overlap: the stride is the window's size,
    /// as in PyTorch.
    pub fn new(kernel: impl Into<Size2d>) -> Self {
        let kernel = kernel.into();
        MaxPool2d {
            window: Window {
                stride: kernel,
                ..Window::new(kernel)
            },
            ties: Ties::First,
        }
    }

    /// Sets the stride: one number, or (height, width).
    #[must_use]
    pub fn stride(mut self, stride: impl Into<Size2d>) -> Self {
        self.window.stride = stride.into();
        self
    }

    /// Sets the padding on each side, which never wins: at most half the window's size.
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Size2d>) -> Self {
        self.window.padding = padding.into().into();
        self
    }

    /// Sets the rule for ties.
    #[must_use]
    pub fn ties(mut self, ties: Ties) -> Self {
        self.ties = ties;
        self
    }
}

impl fmt::Display for MaxPool2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Window {
            kernel,
            stride,
            padding,
            ..
        } = self.window;
        write!(f, "MaxPool2d({kernel}")?;
        if stride != kernel {
            write!(f, ", stride {stride}")?;
        }
        if padding != 0.into() {
            write!(f, ", padding {padding}")?;
        }
        if self.ties == Ties::All {
            write!(f, ", all ties")?;
        }
        write!(f, ")")
    }
}

impl Module for MaxPool2d {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        let pool = MaxPool {
            window: self.window,
            ties: self.ties,
        };
        input.layer(pool, &[], &[])
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}
