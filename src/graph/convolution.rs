//! Convolution as im2col and a matrix product; depthwise, directly.

use super::depthwise::Depthwise;
use super::text::Options;
use super::{Function, Lowering, NodeId, Site};
use crate::error::{Error, Result};
use crate::ops::{BiasBackward, BiasForward, Col2im, ConvSizes, Gemm, Im2col, Operand, ReduceSum};
use crate::plan::TensorId;
use crate::shape::{Shape, Size2d, Window, WindowedPlanes};

/// `output[n, o] = Σ_c input[n, c] ⋆ weight[o, c] + bias[o]`, the cross-correlation that deep
/// learning calls convolution. Input (N, C, H, W), weight (O, C/groups, KH, KW), output
/// (N, O, OH, OW); the bias (O) is optional. Each of `groups` groups of output channels reads the
/// input channels of its own group only; with one group per input channel, the convolution is
/// depthwise.
#[derive(Debug, Clone)]
pub struct Convolution {
    /// The filter's extents, stride and padding.
    pub window: Window,
    /// The number of groups, which divides C and O.
    pub groups: usize,
}

impl Convolution {
    pub(super) fn read(options: &Options<'_>) -> Option<Box<dyn Function>> {
        let (window, groups) = (options.window()?, options.groups());
        Some(Box::new(Convolution { window, groups }))
    }

    /// Whether `weight` has a group for each input channel, and there are several.
    pub(crate) fn is_depthwise(&self, weight: &Shape) -> bool {
        self.groups > 1 && weight.dims()[1] == 1
    }

    /// The sizes of the convolution of `input` by `weight`, each group of each image being an image
    /// of its own: N·groups images, of C/groups and O/groups channels. The weights of the groups
    /// repeat along this batch.
    ///
    /// # Errors
    /// The groups do not divide the output channels, the input's channels differ from the weight's,
    /// or the window does not fit.
    pub fn sizes(&self, at: &str, input: &Shape, weight: &Shape) -> Result<ConvSizes> {
        let (groups, out_channels) = (self.groups, weight.dims()[0]);
        if groups == 0 || !out_channels.is_multiple_of(groups) {
            let expected = format!("a divisor of {out_channels} output channels");
            return Err(Error::value(format!("{at}: groups"), expected, groups));
        }
        let in_channels = weight.dims()[1].saturating_mul(groups);
        match *input.dims() {
            [batch, c, height, width] if c == in_channels => Ok(ConvSizes {
                batch: batch.saturating_mul(groups),
                in_channels: c / groups,
                out_channels: out_channels / groups,
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
        match self.groups {
            1 => self.window.to_string(),
            groups => format!("{}, groups {groups}", self.window),
        }
    }

    fn output_shape(&self, at: &str, inputs: &[&Shape]) -> Result<Shape> {
        let sizes = self.sizes(at, inputs[0], inputs[1])?;
        let Size2d { height, width } = sizes.geometry.output;
        let (batch, channels) = (inputs[0].dims()[0], inputs[1].dims()[0]);
        Ok([batch, channels, height, width].into())
    }

    /// `columns = im2col(input)`, `product[n] = W (O, C·KH·KW) × columns[n]`,
    /// `output = product + b`. With groups, n counts the groups of all images, and W is the weight
    /// of the group.
    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        if self.is_depthwise(site.shape(1)) {
            let (node, relu) = (site.node(), None);
            return Depthwise { node, relu }.readable_forward(site.lowering());
        }
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
        let weights = Operand::PLAIN.repeated(self.groups);
        let gemm = Gemm::new(n, [oc, area, k], weights, Operand::PLAIN);
        if site.inputs() == 2 {
            let output = site.make_output()?;
            return site.forward(gemm, &[weight, columns], &[output]);
        }
        let shape = site.output_shape().clone();
        let product = site.plan().activation("product", shape)?;
        site.forward(gemm, &[weight, columns], &[product])?;
        add_bias(site, product)
    }

    /// `d_bias = Σₙ Σₚ d_output`, `d_weight = Σₙ d_output[n] × columns[n]ᵀ`,
    /// `d_input = col2im(Wᵀ × d_output[n])`. The weights are not rotated: col2im is the adjoint of
    /// im2col and already flips the filter.
    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        if self.is_depthwise(site.shape(1)) {
            let (node, relu) = (site.node(), None);
            let d_output = site.d_output()?;
            return Depthwise { node, relu }.backward(site.lowering(), d_output);
        }
        let sizes = self.sizes("", site.shape(0), site.shape(1))?;
        let geometry = sizes.geometry;
        let (n, oc, k, area) = (
            sizes.batch,
            sizes.out_channels,
            sizes.fan_in(),
            geometry.output_area(),
        );
        let (weight, d_output) = (site.input(1)?, site.d_output()?);
        let (node, batch) = (site.node(), n / self.groups);
        if site.inputs() == 3 {
            d_bias(site.lowering(), node, d_output)?;
        }
        let columns = site.plan().own("columns")?;
        let (d_weight, accumulate) = site.d_parameter(1)?;
        let partials = site.plan().scratch("d_weight_partials", [n, oc, k])?;
        let gemm = Gemm::new(n, [oc, k, area], Operand::PLAIN, Operand::TRANSPOSED);
        site.backward(gemm, &[d_output, columns], &[partials])?;
        let add_images = ReduceSum {
            accumulate,
            ..ReduceSum::new(batch, self.groups * oc * k)
        };
        site.backward(add_images, &[partials], &[d_weight])?;

        let Some(d_input) = site.d_input(0)? else {
            return Ok(());
        };
        let d_columns = site.plan().scratch("d_columns", [n, k, area])?;
        let weights = Operand::TRANSPOSED.repeated(self.groups);
        let gemm = Gemm::new(n, [k, area, oc], weights, Operand::PLAIN);
        site.backward(gemm, &[weight, d_output], &[d_columns])?;
        site.backward(Col2im { geometry }, &[d_columns], &[d_input])
    }
}

/// Adds the bias, input 2 of a node, to `product`, as the node's output (N, O, H, W).
pub(super) fn add_bias(site: &mut Site<'_, '_>, product: TensorId) -> Result<()> {
    let dims = site.output_shape().dims();
    let add = BiasForward {
        batch: dims[0],
        channels: dims[1],
        area: dims[2] * dims[3],
    };
    let (bias, output) = (site.input(2)?, site.make_output()?);
    site.forward(add, &[product, bias], &[output])
}

/// The gradient of the bias, input 2 of `node`: the sum over each channel of its output's.
pub(super) fn d_bias(lowering: &mut Lowering<'_>, node: NodeId, d_output: TensorId) -> Result<()> {
    let graph = lowering.graph();
    let node = graph.node(node);
    let dims = graph.value(node.output).shape.dims();
    let (n, o, area) = (dims[0], dims[1], dims[2] * dims[3]);
    let (d_bias, accumulate) = lowering.parameter_gradient(node.inputs[2])?;
    let partials = lowering.plan().scratch("d_bias_partials", [n, o])?;
    let sum = BiasBackward { rows: n * o, area };
    lowering.backward_op(sum, &[d_output], &[partials])?;
    let add_images = ReduceSum {
        accumulate,
        ..ReduceSum::new(n, o)
    };
    lowering.backward_op(add_images, &[partials], &[d_bias])
}
