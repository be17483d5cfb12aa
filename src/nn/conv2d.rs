//! Convolution.

use std::fmt;

use super::Initializer;
use crate::error::{Error, Result};
use crate::graph::{Convolution, Module, Parameter, Var};
use crate::shape::{Shape, Size2d, Window};

/// `output[n, o] = Σ_c input[n, c] ⋆ weight[o, c] + bias[o]`, the cross-correlation that deep
/// learning calls convolution. Input (N, C, H, W), weight (O, C, KH, KW), output (N, O, OH, OW).
///
/// ```
/// use wgrad::nn::Conv2d;
/// let layer = Conv2d::new(3, 8, 3).stride((1, 2)).padding(1).bias(false);
/// assert_eq!(layer.to_string(), "Conv2d(3 → 8, 3×3, stride 1×2, padding 1×1, no bias)");
/// let layer = Conv2d::new(3, 8, 3).padding(2).dilation(2);
/// assert_eq!(layer.to_string(), "Conv2d(3 → 8, 3×3, padding 2×2, dilation 2×2)");
/// ```
#[derive(Debug, Clone)]
pub struct Conv2d {
    in_channels: usize,
    out_channels: usize,
    window: Window,
    bias: bool,
    init: Initializer,
}

impl Conv2d {
    /// A convolution of stride 1 and dilation 1 without padding, with a bias.
    pub fn new(in_channels: usize, out_channels: usize, kernel: impl Into<Size2d>) -> Self {
        Conv2d {
            in_channels,
            out_channels,
            window: Window::new(kernel),
            bias: true,
            init: Initializer::default(),
        }
    }

    /// Sets the stride: one number, or (height, width).
    #[must_use]
    pub fn stride(mut self, stride: impl Into<Size2d>) -> Self {
        self.window.stride = stride.into();
        self
    }

    /// Sets the zero padding on each side: one number, or (height, width).
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Size2d>) -> Self {
        self.window.padding = padding.into();
        self
    }

    /// Sets the distance between two neighbouring cells of the filter: one number, or (height,
    /// width). The filter covers `dilation·(kernel − 1) + 1` pixels.
    #[must_use]
    pub fn dilation(mut self, dilation: impl Into<Size2d>) -> Self {
        self.window.dilation = dilation.into();
        self
    }

    /// Sets whether a bias is added to each output channel.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// Sets the distribution of the initial weights.
    #[must_use]
    pub fn init(mut self, init: Initializer) -> Self {
        self.init = init;
        self
    }
}

impl fmt::Display for Conv2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Window {
            kernel,
            stride,
            padding,
            dilation,
        } = self.window;
        write!(
            f,
            "Conv2d({} → {}, {kernel}",
            self.in_channels, self.out_channels
        )?;
        if stride != 1.into() {
            write!(f, ", stride {stride}")?;
        }
        if padding != 0.into() {
            write!(f, ", padding {padding}")?;
        }
        if dilation != 1.into() {
            write!(f, ", dilation {dilation}")?;
        }
        if !self.bias {
            write!(f, ", no bias")?;
        }
        write!(f, ")")
    }
}

impl Module for Conv2d {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        if self.in_channels == 0 || self.out_channels == 0 {
            let what = format!("{}: channels", input.place());
            return Err(Error::value(what, "at least 1", 0));
        }
        let Size2d { height, width } = self.window.kernel;
        let shape = Shape::from([self.out_channels, self.in_channels, height, width]);
        let fan_in = Shape::new(&shape.dims()[1..]).elements();
        let fan_out = Shape::new([self.out_channels, height, width]).elements();
        let init = self.init.weight(fan_in, fan_out);
        let mut parameters = vec![Parameter::trained("weight", shape, init)];
        if self.bias {
            let shape = [self.out_channels];
            parameters.push(Parameter::trained("bias", shape, self.init.bias(fan_in)));
        }
        let convolution = Convolution {
            window: self.window,
        };
        input.layer(convolution, &[], &parameters)
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}
