//! Transposed convolution.

use std::fmt;

use super::Initializer;
use super::conv2d::check_channels;
use crate::error::Result;
use crate::graph::{ConvTranspose, Module, Parameter, Var};
use crate::shape::{Padding, Shape, Size2d, Window};

/// The adjoint of a [`Conv2d`](super::Conv2d) with the same options, which upsamples by the stride.
/// Input (N, C, H, W), weight (C, O/groups, KH, KW), output (N, O, OH, OW), where along each axis
/// `out = (in − 1)·stride − padding + dilation·(kernel − 1) + 1 + output_padding`, with the padding
/// of both sides.
///
/// ```
/// use wgrad::nn::ConvTranspose2d;
/// let layer = ConvTranspose2d::new(8, 3, 3).stride(2).padding(1).output_padding(1);
/// assert_eq!(
///     layer.to_string(),
///     "ConvTranspose2d(8 → 3, 3×3, stride 2×2, padding 1×1, output padding 1×1)"
/// );
/// ```
#[derive(Debug, Clone)]
pub struct ConvTranspose2d {
    in_channels: usize,
    out_channels: usize,
    window: Window,
    output_padding: Size2d,
    groups: usize,
    bias: bool,
    init: Initializer,
}

impl ConvTranspose2d {
    /// A transposed convolution of stride 1 and dilation 1 without padding, with a bias.
    pub fn new(in_channels: usize, out_channels: usize, kernel: impl Into<Size2d>) -> Self {
        ConvTranspose2d {
            in_channels,
            out_channels,
            window: Window::new(kernel),
            output_padding: 0.into(),
            groups: 1,
            bias: true,
            init: Initializer::default(),
        }
    }

    /// Sets the stride, by which planes grow: one number, or (height, width).
    #[must_use]
    pub fn stride(mut self, stride: impl Into<Size2d>) -> Self {
        self.window.stride = stride.into();
        self
    }

    /// Sets the rows and columns that are cut off each side of the output: one number,
    /// (height, width), or [`Padding::sides`].
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Padding>) -> Self {
        self.window.padding = padding.into();
        self
    }

    /// Sets the rows and columns added to the output at the bottom and at the right, below the
    /// stride or the dilation: one number, or (height, width). It chooses among the sizes that a
    /// convolution with that stride maps to the same size.
    #[must_use]
    pub fn output_padding(mut self, padding: impl Into<Size2d>) -> Self {
        self.output_padding = padding.into();
        self
    }

    /// Sets the distance between two neighbouring cells of the filter: one number, or (height,
    /// width).
    #[must_use]
    pub fn dilation(mut self, dilation: impl Into<Size2d>) -> Self {
        self.window.dilation = dilation.into();
        self
    }

    /// Sets the number of groups, which divides both numbers of channels. Each group of output
    /// channels reads the input channels of its own group only.
    #[must_use]
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Sets whether a bias is added to each output channel.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// Sets the distribution of the initial weights. As in PyTorch, `fan_in` is the number of
    /// outputs that each input reaches, O/groups·KH·KW, and `fan_out` is C·KH·KW.
    #[must_use]
    pub fn init(mut self, init: Initializer) -> Self {
        self.init = init;
        self
    }
}

impl fmt::Display for ConvTranspose2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Window {
            kernel,
            stride,
            padding,
            dilation,
        } = self.window;
        let (inputs, outputs) = (self.in_channels, self.out_channels);
        write!(f, "ConvTranspose2d({inputs} → {outputs}, {kernel}")?;
        if stride != 1.into() {
            write!(f, ", stride {stride}")?;
        }
        if padding != 0.into() {
            write!(f, ", padding {padding}")?;
        }
        if self.output_padding != 0.into() {
            write!(f, ", output padding {}", self.output_padding)?;
        }
        if dilation != 1.into() {
            write!(f, ", dilation {dilation}")?;
        }
        if self.groups != 1 {
            write!(f, ", groups {}", self.groups)?;
        }
        if !self.bias {
            write!(f, ", no bias")?;
        }
        write!(f, ")")
    }
}

impl Module for ConvTranspose2d {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        check_channels(&input, [self.in_channels, self.out_channels], self.groups)?;
        let Size2d { height, width } = self.window.kernel;
        let of_group = self.out_channels / self.groups;
        let shape = Shape::from([self.in_channels, of_group, height, width]);
        let fan_in = Shape::new(&shape.dims()[1..]).elements();
        let fan_out = Shape::new([self.in_channels, height, width]).elements();
        let init = self.init.weight(fan_in, fan_out);
        let mut parameters = vec![Parameter::trained("weight", shape, init)];
        if self.bias {
            let shape = [self.out_channels];
            parameters.push(Parameter::trained("bias", shape, self.init.bias(fan_in)));
        }
        let function = ConvTranspose {
            window: self.window,
            output_padding: self.output_padding,
            groups: self.groups,
        };
        input.layer(function, &[], &parameters)
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}
