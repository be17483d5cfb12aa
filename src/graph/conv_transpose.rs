//! Transposed convolution: a matrix product, then col2im.

use super::convolution::{add_bias, d_bias};
use super::text::Options;
use super::{Function, Site};
use crate::error::{Error, Result};
use crate::ops::{Col2im, Epilogue, Gemm, Im2col, Operand, Product, ReduceSum};
use crate::plan::{Phase, TensorId};
use crate::shape::{MOST_ELEMENTS, Shape, Size2d, Window, WindowedPlanes};

/// The adjoint of a convolution with that window, which upsamples by the stride. Input
/// (N, C, H, W), weight (C, O/groups, KH, KW), output (N, O, OH, OW); the bias (O) is optional.
/// Along each axis `out = (in − 1)·stride − padding + dilation·(kernel − 1) + 1 + output_padding`,
/// with the padding of both sides: the padding is cut off. Each of `groups` groups of output
/// channels reads the input channels of its own group only.
#[derive(Debug, Clone)]
pub struct ConvTranspose {
    /// The filter's extents, stride, padding and dilation.
    pub window: Window,
    /// Rows added at the bottom and columns added at the right, of which a convolution with a
    /// stride would see nothing; below the stride or the dilation.
    pub output_padding: Size2d,
    /// The number of groups, which divides C and O.
    pub groups: usize,
}

/// The kind of the products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Products {
    /// [`Gemm`].
    Readable,
    /// [`Product`], which has faster kernels; only of one group.
    Fast,
}

/// The sizes of the products, one per group of each image.
struct Sizes {
    /// N·groups.
    batch: usize,
    /// C/groups.
    inputs: usize,
    /// O/groups·KH·KW.
    cells: usize,
    /// H·W.
    area: usize,
    /// The convolution whose adjoint this is: from the output (N·O, OH, OW) to H×W.
    geometry: WindowedPlanes,
}

impl ConvTranspose {
    pub(super) fn read(options: &Options<'_>) -> Option<Box<dyn Function>> {
        Some(Box::new(ConvTranspose {
            window: options.window()?,
            output_padding: options.get("output_padding").unwrap_or(0.into()),
            groups: options.groups(),
        }))
    }

    fn output_size(&self, at: &str, input: Size2d) -> Result<Size2d> {
        let Window {
            kernel,
            stride,
            padding,
            dilation,
        } = self.window;
        let (added, cut) = (self.output_padding, padding.both());
        let sizes = [
            ("kernel", kernel),
            ("stride", stride),
            ("dilation", dilation),
        ];
        for (what, size) in sizes {
            if size.height == 0 || size.width == 0 {
                return Err(Error::value(format!("{at}: {what}"), "at least 1×1", size));
            }
            if size.height > MOST_ELEMENTS || size.width > MOST_ELEMENTS {
                let expected = format!("at most {MOST_ELEMENTS}×{MOST_ELEMENTS}");
                return Err(Error::value(format!("{at}: {what}"), expected, size));
            }
        }
        let largest = Size2d {
            height: stride.height.max(dilation.height),
            width: stride.width.max(dilation.width),
        };
        if added.height >= largest.height || added.width >= largest.width {
            let what = format!("{at}: output padding");
            let expected = format!("below the larger of stride and dilation, {largest}");
            return Err(Error::value(what, expected, added));
        }
        let extent = self.window.extent();
        let along = |input: usize, stride: usize, extent: usize, added: usize, cut: usize| {
            let whole = input.saturating_sub(1).saturating_mul(stride);
            let whole = whole.saturating_add(extent).saturating_add(added);
            whole.checked_sub(cut).filter(|&size| size > 0)
        };
        let size = |input: Size2d| {
            let height = along(
                input.height,
                stride.height,
                extent.height,
                added.height,
                cut.height,
            );
            let width = along(
                input.width,
                stride.width,
                extent.width,
                added.width,
                cut.width,
            );
            Some(Size2d {
                height: height?,
                width: width?,
            })
        };
        match size(input) {
            Some(size) if size.height > MOST_ELEMENTS || size.width > MOST_ELEMENTS => {
                let expected = format!("at most {MOST_ELEMENTS}×{MOST_ELEMENTS}");
                Err(Error::value(format!("{at}: output plane"), expected, size))
            }
            Some(size) => Ok(size),
            None => Err(Error::value(
                format!("{at}: padding"),
                format!("less than the output of a plane of {input} without padding"),
                padding,
            )),
        }
    }

    /// The shape of the output.
    fn output(&self, at: &str, input: &Shape, weight: &Shape) -> Result<Shape> {
        let (groups, of_group, channels) = (self.groups, weight.dims()[1], weight.dims()[0]);
        if groups == 0 || !channels.is_multiple_of(groups) {
            let expected = format!("a divisor of {channels} input channels");
            return Err(Error::value(format!("{at}: groups"), expected, groups));
        }
        match *input.dims() {
            [n, c, height, width] if c == channels => {
                let Size2d { height, width } = self.output_size(at, Size2d { height, width })?;
                Ok([n, of_group.saturating_mul(groups), height, width].into())
            }
            _ => Err(Error::Shape {
                at: at.to_owned(),
                expected: format!("(N, {channels}, H, W)"),
                got: input.to_string(),
            }),
        }
    }

    fn sizes(&self, site: &Site<'_, '_>) -> Sizes {
        let (input, weight) = (site.shape(0).dims(), site.shape(1).dims());
        let output = site.output_shape().dims();
        let size = |dims: &[usize]| Size2d::from((dims[2], dims[3]));
        Sizes {
            batch: input[0] * self.groups,
            inputs: input[1] / self.groups,
            cells: weight[1] * weight[2] * weight[3],
            area: input[2] * input[3],
            // Stated, not computed: with a dilation above the stride, an output padding may leave
            // room for more positions than there are.
            geometry: WindowedPlanes {
                planes: output[0] * output[1],
                input: size(output),
                output: size(input),
                window: self.window,
            },
        }
    }
}

impl Function for ConvTranspose {
    fn name(&self) -> &'static str {
        "conv_transpose"
    }

    fn options(&self) -> String {
        let mut options = self.window.to_string();
        if self.output_padding != 0.into() {
            options += &format!(", output_padding {}", self.output_padding);
        }
        if self.groups != 1 {
            options += &format!(", groups {}", self.groups);
        }
        options
    }

    fn output_shape(&self, at: &str, inputs: &[&Shape]) -> Result<Shape> {
        self.output(at, inputs[0], inputs[1])
    }

    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        self.forward_by(Products::Readable, site)
    }

    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        self.backward_by(Products::Readable, site)
    }
}

impl ConvTranspose {
    /// `columns[n] = Wᵀ (O·KH·KW, C) × input[n]`, `output = col2im(columns) + b`. With groups, n
    /// counts the groups of all images, and W is the weight of the group.
    pub(crate) fn forward_by(&self, products: Products, site: &mut Site<'_, '_>) -> Result<()> {
        let Sizes {
            batch,
            inputs,
            cells,
            area,
            geometry,
        } = self.sizes(site);
        let (input, weight) = (site.input(0)?, site.input(1)?);
        let columns = site.plan().activation("columns", [batch, cells, area])?;
        let weights = Operand::TRANSPOSED.repeated(self.groups);
        let gemm = Gemm::new(batch, [cells, area, inputs], weights, Operand::PLAIN);
        append(
            products,
            site,
            Phase::FORWARD,
            gemm,
            [weight, input],
            columns,
        )?;
        if site.inputs() == 2 {
            let output = site.make_output()?;
            return site.forward(Col2im { geometry }, &[columns], &[output]);
        }
        let shape = site.output_shape().clone();
        let sum = site.plan().activation("sum", shape)?;
        site.forward(Col2im { geometry }, &[columns], &[sum])?;
        add_bias(site, sum)
    }

    /// `d_bias = Σₙ Σₚ d_output`, `d_columns = im2col(d_output)`,
    /// `d_weight = Σₙ input[n] × d_columns[n]ᵀ`, `d_input[n] = W × d_columns[n]`.
    pub(crate) fn backward_by(&self, products: Products, site: &mut Site<'_, '_>) -> Result<()> {
        let Sizes {
            batch,
            inputs,
            cells,
            area,
            geometry,
        } = self.sizes(site);
        let (input, weight, d_output) = (site.input(0)?, site.input(1)?, site.d_output()?);
        let (node, backward) = (site.node(), Phase::Backward.alone());
        if site.inputs() == 3 {
            d_bias(site.lowering(), node, d_output)?;
        }
        let d_columns = site.plan().scratch("d_columns", [batch, cells, area])?;
        let im2col = Im2col {
            geometry,
            fours: products == Products::Fast && area.is_multiple_of(4),
        };
        site.backward(im2col, &[d_output], &[d_columns])?;
        let (d_weight, accumulate) = site.d_parameter(1)?;
        let shape = [batch, inputs, cells];
        let partials = site.plan().scratch("d_weight_partials", shape)?;
        let sizes = [inputs, cells, area];
        let gemm = Gemm::new(batch, sizes, Operand::PLAIN, Operand::TRANSPOSED);
        append(products, site, backward, gemm, [input, d_columns], partials)?;
        let add_images = ReduceSum {
            accumulate,
            ..ReduceSum::new(batch / self.groups, self.groups * inputs * cells)
        };
        site.backward(add_images, &[partials], &[d_weight])?;

        let Some(d_input) = site.d_input(0)? else {
            return Ok(());
        };
        let weights = Operand::PLAIN.repeated(self.groups);
        let gemm = Gemm::new(batch, [inputs, area, cells], weights, Operand::PLAIN);
        append(products, site, backward, gemm, [weight, d_columns], d_input)
    }
}

/// The product of a readable plan or of a fast one.
fn append(
    products: Products,
    site: &mut Site<'_, '_>,
    phases: &'static [Phase],
    gemm: Gemm,
    inputs: [TensorId; 2],
    output: TensorId,
) -> Result<()> {
    let [a, b] = inputs;
    if products == Products::Readable {
        return site
            .plan()
            .op_of(phases, Box::new(gemm), &[a, b], &[output]);
    }
    let transposed = [gemm.a.transposed, gemm.b.transposed];
    let product = Product {
        batch: gemm.batch,
        a_shared: gemm.a.matrices.is_some(),
        ..Product::new([gemm.m, gemm.n, gemm.k], transposed, Epilogue::Plain)
    };
    site.plan()
        .op_of(phases, Box::new(product), &[a, b, b], &[output])
}
