//! Convolution.

use std::fmt;

use super::Initializer;
use crate::error::{Error, Result};
use crate::graph::{Convolution, Module, Parameter, Var};
use crate::shape::{Padding, Shape, Size2d, Window};

/// `output[n, o] = Σ_c input[n, c] ⋆ weight[o, c] + bias[o]`, the cross-correlation that deep
/// learning calls convolution. Input (N, C, H, W), weight (O, C/groups, KH, KW), output
/// (N, O, OH, OW).
///
/// ```
/// use wgrad::nn::Conv2d;
/// let layer = Conv2d::new(3, 8, 3).stride((1, 2)).padding(1).bias(false);
/// assert_eq!(layer.to_string(), "Conv2d(3 → 8, 3×3, stride 1×2, padding 1×1, no bias)");
/// let layer = Conv2d::new(3, 8, 3).padding(2).dilation(2);
/// assert_eq!(layer.to_string(), "Conv2d(3 → 8, 3×3, padding 2×2, dilation 2×2)");
/// let depthwise = Conv2d::new(8, 8, 3).padding_same().groups(8);
/// assert_eq!(depthwise.to_string(), "Conv2d(8 → 8, 3×3, padding same, groups 8)");
/// ```
#[derive(Debug, Clone)]
pub struct Conv2d {
    in_channels: usize,
    out_channels: usize,
    window: Window,
    /// Whether the padding follows from the filter's extent, so that planes keep their size.
    same: bool,
    groups: usize,
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
            same: false,
            groups: 1,
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

    /// Sets the zero padding on each side: one number, (height, width), or [`Padding::sides`].
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Padding>) -> Self {
        self.window.padding = padding.into();
        self.same = false;
        self
    }

    /// Pads with zeros so that planes keep their size, by `dilation·(kernel − 1)` per axis: half of
    /// it before, half after, and an odd one after, as PyTorch's `padding="same"`. The stride must
    /// be 1.
    #[must_use]
    pub fn padding_same(mut self) -> Self {
        self.same = true;
        self
    }

    /// Sets the number of groups, which divides both numbers of channels. Each group of output
    /// channels reads the input channels of its own group only; with one group per input channel
    /// the convolution is depthwise.
    #[must_use]
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
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
        if self.same {
            write!(f, ", padding same")?;
        } else if padding != 0.into() {
            write!(f, ", padding {padding}")?;
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

/// Checks the numbers of input and output channels, and that the groups divide both.
pub(super) fn check_channels(
    input: &Var<'_>,
    [inputs, outputs]: [usize; 2],
    groups: usize,
) -> Result<()> {
    if inputs == 0 || outputs == 0 {
        let what = format!("{}: channels", input.place());
        return Err(Error::value(what, "at least 1", 0));
    }
    if groups == 0 || !inputs.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
        let what = format!("{}: groups", input.place());
        let expected = format!("a divisor of {inputs} input and {outputs} output channels");
        return Err(Error::value(what, expected, groups));
    }
    Ok(())
}

impl Module for Conv2d {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        let channels = [self.in_channels, self.out_channels];
        check_channels(&input, channels, self.groups)?;
        let mut window = self.window;
        if self.same {
            if window.stride != 1.into() {
                let what = format!("{}: stride", input.place());
                let expected = "1×1 with a padding that keeps the size";
                return Err(Error::value(what, expected, window.stride));
            }
            window.padding = window.padding_same();
        }
        let Size2d { height, width } = window.kernel;
        let of_group = self.in_channels / self.groups;
        let shape = Shape::from([self.out_channels, of_group, height, width]);
        let fan_in = Shape::new(&shape.dims()[1..]).elements();
        let fan_out = Shape::new([self.out_channels, height, width]).elements();
        let init = self.init.weight(fan_in, fan_out);
        let mut parameters = vec![Parameter::trained("weight", shape, init)];
        if self.bias {
            let shape = [self.out_channels];
            parameters.push(Parameter::trained("bias", shape, self.init.bias(fan_in)));
        }
        let groups = self.groups;
        let convolution = Convolution { window, groups };
        input.layer(convolution, &[], &parameters)
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}
