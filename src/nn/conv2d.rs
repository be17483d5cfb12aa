//! Convolution as im2col and a matrix product.

use std::fmt;

use super::{Around, Layer, images, place};
use crate::error::{Error, Result};
use crate::ops::{BiasBackward, BiasForward, Col2im, Gemm, Im2col, Operand, ReduceSum};
use crate::plan::{Builder, Init, Phase, TensorId};
use crate::shape::{Shape, Size2d, Window, WindowedPlanes};

/// `output[n, o] = Σ_c input[n, c] ⋆ weight[o, c] + bias[o]`, the cross-correlation that deep
/// learning calls convolution. Input (N, C, H, W), weight (O, C, KH, KW), output (N, O, OH, OW).
///
/// ```
/// use wgrad::nn::Conv2d;
/// let layer = Conv2d::new(3, 8, 3).stride((1, 2)).padding(1).bias(false);
/// assert_eq!(layer.to_string(), "Conv2d(3 → 8, 3×3, stride 1×2, padding 1×1, no bias)");
/// ```
#[derive(Debug, Clone)]
pub struct Conv2d {
    in_channels: usize,
    out_channels: usize,
    window: Window,
    bias: bool,
}

impl Conv2d {
    /// A convolution of stride 1 without padding, with a bias.
    pub fn new(in_channels: usize, out_channels: usize, kernel: impl Into<Size2d>) -> Self {
        Conv2d {
            in_channels,
            out_channels,
            window: Window {
                kernel: kernel.into(),
                stride: 1.into(),
                padding: 0.into(),
            },
            bias: true,
        }
    }

    /// Distance between two positions of the kernel: one number, or (height, width).
    #[must_use]
    pub fn stride(mut self, stride: impl Into<Size2d>) -> Self {
        self.window.stride = stride.into();
        self
    }

    /// Zeros added on each side: one number, or (height, width).
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Size2d>) -> Self {
        self.window.padding = padding.into();
        self
    }

    /// Whether a number is added to each output channel.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// N, and the window over the N·C input planes.
    fn geometry(&self, plan: &Builder, input: TensorId) -> Result<(usize, WindowedPlanes)> {
        let (n, c, size) = images(plan, self, input, Some(self.in_channels))?;
        let planes = n.saturating_mul(c);
        let geometry = WindowedPlanes::new(planes, size, self.window, &place(plan, self))?;
        Ok((n, geometry))
    }

    /// C·KH·KW: the weights of one output channel.
    fn fan_in(&self) -> usize {
        let Size2d { height, width } = self.window.kernel;
        Shape::from([self.in_channels, height, width]).elements()
    }
}

impl fmt::Display for Conv2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Window {
            kernel,
            stride,
            padding,
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
        if !self.bias {
            write!(f, ", no bias")?;
        }
        write!(f, ")")
    }
}

impl Layer for Conv2d {
    fn stem(&self) -> &'static str {
        "conv"
    }

    /// `columns = im2col(input)`, `product[n] = W (O, C·KH·KW) × columns[n]`, `output = product + b`.
    fn forward(&self, plan: &mut Builder, input: TensorId) -> Result<TensorId> {
        if self.in_channels == 0 || self.out_channels == 0 {
            return Err(Error::value(
                format!("{}: channels", place(plan, self)),
                "at least 1",
                0,
            ));
        }
        let (n, geometry) = self.geometry(plan, input)?;
        let (oc, k, area) = (self.out_channels, self.fan_in(), geometry.output_area());
        let Size2d { height, width } = geometry.output;
        let kernel = self.window.kernel;

        let weight_shape = [oc, self.in_channels, kernel.height, kernel.width];
        let (weight, _) = plan.parameter("weight", weight_shape, Init::HeNormal { fan_in: k })?;
        let columns = plan.activation("columns", [n, k, area])?;
        plan.op(
            Phase::Forward,
            Im2col {
                geometry,
                fours: false,
            },
            &[input],
            &[columns],
        )?;

        let product_name = if self.bias { "product" } else { "output" };
        let product = plan.activation(product_name, [n, oc, height, width])?;
        let gemm = Gemm::new(n, [oc, area, k], Operand::PLAIN.shared(), Operand::PLAIN);
        plan.op(Phase::Forward, gemm, &[weight, columns], &[product])?;
        if !self.bias {
            return Ok(product);
        }
        let (bias, _) = plan.parameter("bias", [oc], Init::Zeros)?;
        let output = plan.activation("output", [n, oc, height, width])?;
        let add = BiasForward {
            batch: n,
            channels: oc,
            area,
        };
        plan.op(Phase::Forward, add, &[product, bias], &[output])?;
        Ok(output)
    }

    /// `d_bias = Σₙ Σₚ d_output`, `d_weight = Σₙ d_output[n] × columns[n]ᵀ`,
    /// `d_input = col2im(Wᵀ × d_output[n])` with the weights as they are, not rotated: col2im
    /// already is the adjoint that turns the kernel around.
    fn backward(&self, plan: &mut Builder, around: Around) -> Result<Option<TensorId>> {
        let (n, geometry) = self.geometry(plan, around.input)?;
        let (oc, k, area) = (self.out_channels, self.fan_in(), geometry.output_area());
        let accumulate = plan.accumulate();
        let d_output = around.d_output;
        if self.bias {
            let d_bias = plan.own("d_bias")?;
            let partials = plan.scratch("d_bias_partials", [n, oc])?;
            let sum = BiasBackward { rows: n * oc, area };
            plan.op(Phase::Backward, sum, &[d_output], &[partials])?;
            let reduce = ReduceSum {
                accumulate,
                ..ReduceSum::new(n, oc)
            };
            plan.op(Phase::Backward, reduce, &[partials], &[d_bias])?;
        }

        let (columns, d_weight) = (plan.own("columns")?, plan.own("d_weight")?);
        let partials = plan.scratch("d_weight_partials", [n, oc, k])?;
        let gemm = Gemm::new(n, [oc, k, area], Operand::PLAIN, Operand::TRANSPOSED);
        plan.op(Phase::Backward, gemm, &[d_output, columns], &[partials])?;
        let reduce = ReduceSum {
            accumulate,
            ..ReduceSum::new(n, oc * k)
        };
        plan.op(Phase::Backward, reduce, &[partials], &[d_weight])?;

        if !around.needs_d_input {
            return Ok(None);
        }
        let weight = plan.own("weight")?;
        let d_columns = plan.scratch("d_columns", [n, k, area])?;
        let gemm = Gemm::new(
            n,
            [k, area, oc],
            Operand::TRANSPOSED.shared(),
            Operand::PLAIN,
        );
        plan.op(Phase::Backward, gemm, &[weight, d_output], &[d_columns])?;
        let input_shape = plan.get(around.input).shape.clone();
        let d_input = plan.scratch("d_input", input_shape)?;
        plan.op(
            Phase::Backward,
            Col2im { geometry },
            &[d_columns],
            &[d_input],
        )?;
        Ok(Some(d_input))
    }
}
