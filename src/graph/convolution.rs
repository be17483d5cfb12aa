//! Convolution as im2col and a matrix product.

use super::text::Options;
use super::{Function, Site};
use crate::error::{Error, Result};
use crate::ops::{BiasBackward, BiasForward, Col2im, ConvSizes, Gemm, Im2col, Operand, ReduceSum};
use crate::shape::{Shape, Size2d, Window, WindowedPlanes};

/// `output[n, o] = Σ_c input[n, c] ⋆ weight[o, c] + bias[o]`, the cross-correlation that deep
/// learning calls convolution. Input (N, C, H, W), weight (O, C, KH, KW), output (N, O, OH, OW);
/// the bias (O) is optional.
#[derive(Debug, Clone)]
pub struct Convolution {
    /// The filter's extents, stride and padding.
    pub window: Window,
}

impl Convolution {
    pub(super) fn read(options: &Options<'_>) -> Option<Box<dyn Function>> {
        let window = options.window()?;
        Some(Box::new(Convolution { window }))
    }

    /// The sizes of the convolution of `input` by `weight`.
    ///
    /// # Errors
    /// The input's channels differ from the weight's, or the window does not fit.
    pub fn sizes(&self, at: &str, input: &Shape, weight: &Shape) -> Result<ConvSizes> {
        let (out_channels, in_channels) = (weight.dims()[0], weight.dims()[1]);
        match *input.dims() {
            [batch, c, height, width] if c == in_channels => Ok(ConvSizes {
                batch,
                in_channels,
                out_channels,
                geometry: WindowedPlanes::new(
                    batch.saturating_mul(c),
                    Size2d { height, width },
                    self.window,
                    at,
                )?,
            }),
            _ => Err(Error::Shape {
                at: at.to_owned(),
                expected: format!("(N, {in_channels}, H, W)"),
                got: input.to_string(),
            }),
        }
    }
}

impl Function for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn options(&self) -> String {
        self.window.to_string()
    }

    fn output_shape(&self, at: &str, inputs: &[&Shape]) -> Result<Shape> {
        let sizes = self.sizes(at, inputs[0], inputs[1])?;
        let Size2d { height, width } = sizes.geometry.output;
        Ok([sizes.batch, sizes.out_channels, height, width].into())
    }

    /// `columns = im2col(input)`, `product[n] = W (O, C·KH·KW) × columns[n]`,
    /// `output = product + b`.
    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let sizes = self.sizes("", site.shape(0), site.shape(1))?;
        let geometry = sizes.geometry;
        let (n, oc, k, area) = (
            sizes.batch,
            sizes.out_channels,
            sizes.fan_in(),
            geometry.output_area(),
        );
        let (input, weight) = (site.input(0)?, site.input(1)?);
        let columns = site.plan().activation("columns", [n, k, area])?;
        let im2col = Im2col {
            geometry,
            fours: false,
        };
        site.forward(im2col, &[input], &[columns])?;
        let gemm = Gemm::new(n, [oc, area, k], Operand::PLAIN.shared(), Operand::PLAIN);
        if site.inputs() == 2 {
            let output = site.make_output()?;
            return site.forward(gemm, &[weight, columns], &[output]);
        }
        let shape = site.output_shape().clone();
        let product = site.plan().activation("product", shape)?;
        site.forward(gemm, &[weight, columns], &[product])?;
        let add = BiasForward {
            batch: n,
            channels: oc,
            area,
        };
        let (bias, output) = (site.input(2)?, site.make_output()?);
        site.forward(add, &[product, bias], &[output])
    }

    /// `d_bias = Σₙ Σₚ d_output`, `d_weight = Σₙ d_output[n] × columns[n]ᵀ`,
    /// `d_input = col2im(Wᵀ × d_output[n])`. The weights are not rotated: col2im is the adjoint of
    /// im2col and already flips the filter.
    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let sizes = self.sizes("", site.shape(0), site.shape(1))?;
        let geometry = sizes.geometry;
        let (n, oc, k, area) = (
            sizes.batch,
            sizes.out_channels,
            sizes.fan_in(),
            geometry.output_area(),
        );
        let (weight, d_output) = (site.input(1)?, site.d_output()?);
        let add_images = |len, accumulate| ReduceSum {
            accumulate,
            ..ReduceSum::new(n, len)
        };
        if site.inputs() == 3 {
            let (d_bias, accumulate) = site.d_parameter(2)?;
            let partials = site.plan().scratch("d_bias_partials", [n, oc])?;
            let sum = BiasBackward { rows: n * oc, area };
            site.backward(sum, &[d_output], &[partials])?;
            site.backward(add_images(oc, accumulate), &[partials], &[d_bias])?;
        }
        let columns = site.plan().own("columns")?;
        let (d_weight, accumulate) = site.d_parameter(1)?;
        let partials = site.plan().scratch("d_weight_partials", [n, oc, k])?;
        let gemm = Gemm::new(n, [oc, k, area], Operand::PLAIN, Operand::TRANSPOSED);
        site.backward(gemm, &[d_output, columns], &[partials])?;
        site.backward(add_images(oc * k, accumulate), &[partials], &[d_weight])?;

        let Some(d_input) = site.d_input(0)? else {
            return Ok(());
        };
        let d_columns = site.plan().scratch("d_columns", [n, k, area])?;
        let transposed = Operand::TRANSPOSED.shared();
        let gemm = Gemm::new(n, [k, area, oc], transposed, Operand::PLAIN);
        site.backward(gemm, &[weight, d_output], &[d_columns])?;
        site.backward(Col2im { geometry }, &[d_columns], &[d_input])
    }
}
