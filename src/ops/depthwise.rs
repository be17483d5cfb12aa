//! Depthwise convolution, and the gradient of its input: each input channel has filters of its own.

use rayon::prelude::*;

use super::case::{Aside, Case, Random, Read};
use super::element::passes;
use super::reference::arithmetic::{Factor, tables};
use super::reference::sums::Sums;
use super::reference::windows::Windows;
use super::{
    Args, BiasForward, Binding, Bindings, Col2im, Cost, DepthwiseBackwardWeight, DepthwiseSizes,
    Element, Elements, ErrorBound, Gemm, Im2col, Launch, Op, Operand, Prelude, ReluForward, Shader,
    Slot, Split, Sum, flag, nested_loops,
};
use crate::shape::Size2d;

pub(super) const SHADER: Shader = Shader::new(
    &[
        Prelude::Invocation,
        Prelude::Step,
        Prelude::Window,
        Prelude::Relu,
    ],
    include_str!("../../shaders/depthwise.wgsl"),
);

/// `output[n, o] = input[n, o/M] ⋆ weight[o]`, plus `bias[o]` with `bias`, then ReLU with `relu`.
/// Without a bias, the weight is bound in its place and ignored.
#[derive(Debug, Clone)]
pub struct DepthwiseForward {
    /// The sizes.
    pub sizes: DepthwiseSizes,
    /// Whether a bias is added.
    pub bias: bool,
    /// Whether ReLU follows the bias.
    pub relu: bool,
}

/// `d_input[n, c] = Σ_m` of `d_output[n, c·M + m]` under every position of `weight[c·M + m]` that
/// covers the pixel: the adjoint of the forward pass. A weight that no window aligns with a pixel
/// adds nothing to it, even if it is infinite.
#[derive(Debug, Clone)]
pub struct DepthwiseBackwardInput {
    /// The sizes.
    pub sizes: DepthwiseSizes,
}

impl DepthwiseForward {
    fn bound(&self) -> ErrorBound {
        ErrorBound::Products {
            terms: self.sizes.geometry.kernel_area() + 1,
        }
    }
}

impl Op for DepthwiseForward {
    fn name(&self) -> &'static str {
        "depthwise_forward"
    }

    fn bindings(&self) -> Bindings {
        let s = &self.sizes;
        let bias = match self.bias {
            true => s.out_channels(),
            false => s.weight_len(),
        };
        Bindings::new([
            Binding::read("input", s.input_len()),
            Binding::read("weight", s.weight_len()),
            Binding::read("bias", bias),
            Binding::write("output", s.output_len()),
        ])
    }

    fn launch(&self) -> Launch {
        let s = &self.sizes;
        let Size2d { height, width } = s.geometry.window.kernel;
        let quads = s.geometry.output_area().div_ceil(4);
        Launch::new(SHADER, s.batch * s.out_channels() * quads)
            .constants(s.constants())
            .constants([("BIAS", flag(self.bias)), ("RELU", flag(self.relu))])
            .longest_loop(nested_loops(&[height, width]))
    }

    /// The columns, the product of each channel's with its filters, the bias and ReLU.
    fn split(&self, _: u64) -> Option<Split> {
        let (s, geometry) = (&self.sizes, self.sizes.geometry);
        let (planes, area, cells) = (
            geometry.planes,
            geometry.output_area(),
            geometry.kernel_area(),
        );
        let im2col = Im2col {
            geometry,
            fours: false,
        };
        let sizes = [s.multiplier, area, cells];
        let filters = Operand::PLAIN.repeated(s.channels);
        let gemm = Gemm::new(planes, sizes, filters, Operand::PLAIN);
        let mut split = Split::new();
        let columns = split.scratch(planes * cells * area);
        split.step(im2col, &[Slot::Input(0)], &[columns]);
        let mut value = Slot::Output(0);
        if self.bias || self.relu {
            value = split.scratch(s.output_len());
        }
        split.step(gemm, &[Slot::Input(1), columns], &[value]);
        if self.bias {
            let add = BiasForward {
                batch: s.batch,
                channels: s.out_channels(),
                area,
            };
            let biased = match self.relu {
                true => split.scratch(s.output_len()),
                false => Slot::Output(0),
            };
            split.step(add, &[value, Slot::Input(2)], &[biased]);
            value = biased;
        }
        if self.relu {
            let len = s.output_len();
            split.step(ReluForward { len }, &[value], &[Slot::Output(0)]);
        }
        Some(split)
    }

    fn cost(&self) -> Cost {
        Cost::new(self.sizes.flop(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (s, g) = (self.sizes, self.sizes.geometry);
        let (input, weight, bias) = (args.input(0), args.input(1), args.input(2));
        let (m, cells, area) = (s.multiplier, g.kernel_area(), g.output_area());
        let [rows, columns] = tables([m, cells], false);
        let windows = Windows::new(1, g);
        let planes = args.output().par_chunks_mut(m * area).enumerate();
        let planes = planes.with_min_len(s.planes_of_a_task());
        let scratch = || (Sums::default(), vec![0.0; windows.len()]);
        planes.for_each_init(scratch, |(sums, padded), (plane, output)| {
            let first = plane % s.channels * m;
            let filters = Factor {
                values: &weight[first * cells..],
                rows: &rows,
                columns: &columns,
            };
            windows.pad(&input[plane * g.input_area()..], padded);
            sums.set_zero(m, area);
            sums.add_product_with_windows(&filters.row_panels(), &windows.unrolled(padded));
            sums.each_row(output, |[o, _], output, sums| {
                for (value, sum) in output.iter_mut().zip(sums) {
                    let biased = match self.bias {
                        true => sum + f64::from(bias[first + o]),
                        false => *sum,
                    };
                    let counts = !self.relu || passes(biased);
                    *value = if counts { biased as f32 } else { 0.0 };
                }
            });
        });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let (s, g) = (&self.sizes, &self.sizes.geometry);
        let (plane, position) = (index / g.output_area(), index % g.output_area());
        let position = (position / g.output.width, position % g.output.width);
        let o = plane % s.out_channels();
        let mut sum = Sum::default();
        for (cell, at) in g.cells().enumerate() {
            let first = plane / s.multiplier * g.input_area();
            let pixel = g.pixel(position, at);
            let value = pixel.map_or(0.0, |pixel| args.float(0, first + pixel));
            sum.add_product(args.float(1, o * g.kernel_area() + cell), value);
        }
        if self.bias {
            sum.add(args.float(2, o));
        }
        match self.relu {
            true => sum.rectified(&self.bound()),
            false => sum.within(&self.bound()),
        }
    }

    /// The bias is one more product, by one; ReLU adds no error.
    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![self.bound()]
    }
}

impl DepthwiseBackwardInput {
    fn bound(&self) -> ErrorBound {
        ErrorBound::Products {
            terms: self.sizes.multiplier * self.sizes.geometry.kernel_area(),
        }
    }
}

impl Op for DepthwiseBackwardInput {
    fn name(&self) -> &'static str {
        "depthwise_backward_input"
    }

    fn bindings(&self) -> Bindings {
        let s = &self.sizes;
        Bindings::new([
            Binding::read("weight", s.weight_len()),
            Binding::read("d_output", s.output_len()),
            Binding::write("d_input", s.input_len()),
        ])
    }

    fn launch(&self) -> Launch {
        let s = &self.sizes;
        let Size2d { height, width } = s.geometry.window.kernel;
        let quads = s.geometry.input_area().div_ceil(4);
        Launch::new(SHADER, s.batch * s.channels * quads)
            .constants(s.constants())
            .longest_loop(nested_loops(&[s.multiplier, height, width]))
    }

    /// The gradient of the columns, then col2im, which has loops of its own.
    fn split(&self, longest: u64) -> Option<Split> {
        let (s, geometry) = (&self.sizes, self.sizes.geometry);
        let (planes, area, cells) = (
            geometry.planes,
            geometry.output_area(),
            geometry.kernel_area(),
        );
        let sizes = [cells, area, s.multiplier];
        let filters = Operand::TRANSPOSED.repeated(s.channels);
        let gemm = Gemm::new(planes, sizes, filters, Operand::PLAIN);
        let mut split = Split::new();
        let d_columns = split.scratch(planes * cells * area);
        split.step(gemm, &[0, 1].map(Slot::Input), &[d_columns]);
        split.step(Col2im { geometry }, &[d_columns], &[Slot::Output(0)]);
        (Col2im { geometry }.launch().longest_loop <= longest).then_some(split)
    }

    fn cost(&self) -> Cost {
        Cost::new(self.sizes.flop(), &self.bindings())
    }

    /// The gradient of the unrolled windows, each element added to the pixel that it was read from.
    fn reference(&self, args: &mut Args<'_>) {
        let (s, g) = (self.sizes, self.sizes.geometry);
        let (weight, d_output) = (args.input(0), args.input(1));
        let (m, cells, area) = (s.multiplier, g.kernel_area(), g.output_area());
        let [rows, columns] = tables([cells, m], true);
        let [channels, positions] = tables([m, area], false);
        let windows = Windows::new(1, g);
        let planes = args.output().par_chunks_mut(g.input_area()).enumerate();
        let planes = planes.with_min_len(s.planes_of_a_task());
        let scratch = || (Sums::default(), vec![0.0; windows.len()]);
        planes.for_each_init(scratch, |(sums, padded), (plane, d_input)| {
            let filters = Factor {
                values: &weight[plane % s.channels * m * cells..],
                rows: &rows,
                columns: &columns,
            };
            let gradients = Factor {
                values: &d_output[plane * m * area..],
                rows: &channels,
                columns: &positions,
            };
            padded.fill(0.0);
            windows.scatter(&filters.row_panels(), &gradients, sums, padded);
            windows.crop(padded, d_input);
        });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let (s, g) = (&self.sizes, &self.sizes.geometry);
        let (plane, pixel) = (index / g.input_area(), index % g.input_area());
        let mut sum = Sum::default();
        for m in 0..s.multiplier {
            let filter = plane % s.channels * s.multiplier + m;
            let first = (plane * s.multiplier + m) * g.output_area();
            for (cell, at) in g.cells().enumerate() {
                if let Some(position) = g.position_over(pixel, at) {
                    let weight = args.float(0, filter * g.kernel_area() + cell);
                    sum.add_product(weight, args.float(1, first + position));
                }
            }
        }
        sum.within(&self.bound())
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![self.bound()]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    random.with_asides(&[Aside::Dilated, Aside::Uneven], draw)
}

fn draw(random: &mut Random) -> Vec<Case> {
    let sizes = DepthwiseSizes::random(random);
    let op = |bias, relu| DepthwiseForward { sizes, bias, relu };
    let whole = DepthwiseBackwardWeight { sizes, parts: 1 };
    let parts = random.size(sizes.positions().min(9));
    let by_input = [Read::Input(1), Read::OutputGradient];
    let by_weight = [Read::Input(0), Read::OutputGradient];
    let forward = Case::of_floats(op(true, false), random);
    vec![
        forward
            .with_gradient(0, DepthwiseBackwardInput { sizes }, &by_input)
            .with_gradient(1, whole, &by_weight),
        Case::of_floats(op(true, true), random),
        Case::of_floats(op(false, true), random),
        Case::of_floats(op(false, false), random),
        Case::of_floats(DepthwiseBackwardInput { sizes }, random),
        Case::of_floats(DepthwiseBackwardWeight { sizes, parts }, random),
    ]
}
