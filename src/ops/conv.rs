//! Convolution as implicit GEMM: im2col's columns are read directly from the image and never
//! written. The gradients are in `conv_input` and `conv_weight`.

use rayon::prelude::*;

use super::case::{Aside, Case, Random, Read};
use super::element::{passes, tile_edges};
use super::reference::windows::{Convolution, Scratch};
use super::{
    Args, Binding, Bindings, ConvBackwardInput, ConvBackwardWeight, ConvSizes, ConvTile, Cost,
    Element, Elements, Epilogue, ErrorBound, Im2col, Launch, Op, Prelude, Product, Shader, Slot,
    Split, Variant, conv_tile, flag, nested_loops,
};
use crate::shape::Size2d;

pub(super) const SHADER: Shader = Shader::new(
    &[
        Prelude::Invocation,
        Prelude::Step,
        Prelude::Window,
        Prelude::Convolution,
        Prelude::Outer,
        Prelude::Relu,
    ],
    include_str!("../../shaders/conv.wgsl"),
);

/// Rows and columns of the product that one invocation computes; the same as in the shader.
pub(super) const TILE: usize = 8;

/// `output[n, o] = Σ_c input[n, c] ⋆ weight[o, c]`, plus `bias[o]` with `bias`, then ReLU with
/// `relu`. Without a bias, the weight is bound in its place and ignored.
#[derive(Debug, Clone)]
pub struct ConvForward {
    /// The sizes.
    pub sizes: ConvSizes,
    /// Whether a bias is added.
    pub bias: bool,
    /// Whether ReLU follows the bias.
    pub relu: bool,
    /// The tile of a workgroup; `None` is a tile for each invocation.
    pub tile: Option<ConvTile>,
}

impl ConvForward {
    fn bound(&self) -> ErrorBound {
        ErrorBound::Products {
            terms: self.sizes.fan_in() + 1,
        }
    }
}

/// Iterations of the loops over channels, rows and columns of the filter.
pub(super) fn loops(channels: usize, sizes: &ConvSizes) -> u64 {
    let Size2d { height, width } = sizes.geometry.window.kernel;
    nested_loops(&[channels, height, width])
}

impl Op for ConvForward {
    fn name(&self) -> &'static str {
        match self.tile {
            None => "conv_forward",
            Some(_) => conv_tile::FORWARD,
        }
    }

    fn bindings(&self) -> Bindings {
        let s = &self.sizes;
        let bias = match self.bias {
            true => s.out_channels,
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
        let mut constants = self.sizes.constants();
        constants.push(("BIAS", flag(self.bias)));
        constants.push(("RELU", flag(self.relu)));
        let s = &self.sizes;
        let positions = s.batch * s.geometry.output_area();
        let launch = match self.tile {
            Some(tile) => tile.launch(
                1,
                [s.out_channels, positions],
                s.fan_in(),
                conv_tile::STORES,
            ),
            None => Launch::new(
                SHADER,
                s.out_channels.div_ceil(TILE) * positions.div_ceil(TILE),
            )
            .longest_loop(loops(s.in_channels, s)),
        };
        launch.constants(constants)
    }

    fn variants(&self) -> Vec<Variant> {
        conv_tile::variants("conv_forward", |tile| {
            Box::new(ConvForward {
                tile,
                ..self.clone()
            })
        })
    }

    fn choice(&self) -> Option<String> {
        let more = match (self.bias, self.relu) {
            (true, true) => ", bias, ReLU",
            (true, false) => ", bias",
            (false, true) => ", ReLU",
            (false, false) => "",
        };
        Some(conv_tile::choice("convolution", &self.sizes, more))
    }

    /// The columns, and the product with them.
    fn split(&self, _: u64) -> Option<Split> {
        let (s, geometry) = (&self.sizes, self.sizes.geometry);
        let (area, k) = (geometry.output_area(), s.fan_in());
        let epilogue = match (self.bias, self.relu) {
            (true, relu) => Epilogue::Bias {
                of_rows: true,
                relu,
            },
            (false, false) => Epilogue::Plain,
            (false, true) => return None,
        };
        let product = Product {
            batch: s.batch,
            a_shared: true,
            ..Product::new([s.out_channels, area, k], [false, false], epilogue)
        };
        let mut split = Split::new();
        let columns = split.scratch(s.batch * k * area);
        split.step(
            Im2col {
                geometry,
                fours: false,
            },
            &[Slot::Input(0)],
            &[columns],
        );
        split.step(
            product,
            &[
                Slot::Input(1),
                columns,
                if self.bias { Slot::Input(2) } else { columns },
            ],
            &[Slot::Output(0)],
        );
        Some(split)
    }

    fn cost(&self) -> Cost {
        Cost::new(self.sizes.flop(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let s = self.sizes;
        let (input, weight, bias) = (args.input(0), args.input(1), args.input(2));
        let convolution = Convolution::new(s, weight);
        let images = args
            .output()
            .par_chunks_mut(s.output_len() / s.batch)
            .enumerate();
        let images = images.with_min_len(s.images_of_a_task());
        images.for_each_init(Scratch::default, |scratch, (n, output)| {
            let sums = convolution.of_image(input, n, scratch);
            sums.each_row(
                output,
                #[inline(always)]
                |[o, _], output, sums| {
                    for (value, &sum) in output.iter_mut().zip(sums) {
                        let biased = if self.bias {
                            sum + f64::from(bias[o])
                        } else {
                            sum
                        };
                        let counts = !self.relu | passes(biased);
                        *value = if counts { biased as f32 } else { 0.0 };
                    }
                },
            );
        });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let s = &self.sizes;
        let area = s.geometry.output_area();
        let (n, o, position) = (
            index / (s.out_channels * area),
            index / area % s.out_channels,
            index % area,
        );
        let mut sum = s.output_at(args, [n, o, position], &|at| args.float(0, at));
        if self.bias {
            sum.add(args.float(2, o));
        }
        let bound = self.bound();
        if self.relu {
            sum.rectified(&bound)
        } else {
            sum.within(&bound)
        }
    }

    fn tile_edges(&self, _: usize) -> Vec<usize> {
        let s = &self.sizes;
        tile_edges(
            s.batch,
            [s.out_channels, s.geometry.output_area()],
            self.tile.map_or([TILE, TILE], ConvTile::extents),
        )
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![self.bound()]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    random.with_asides(&[Aside::Dilated, Aside::Uneven], draw)
}

fn draw(random: &mut Random) -> Vec<Case> {
    let sizes = ConvSizes::random(random);
    let tile = None;
    let op = |bias, relu| ConvForward {
        sizes,
        bias,
        relu,
        tile,
    };
    let forward = Case::of_floats(op(true, false), random);
    let whole = ConvBackwardWeight {
        sizes,
        parts: 1,
        tile,
    };
    let positions = sizes.batch * sizes.geometry.output_area();
    let parts = random.size(positions.min(9));
    vec![
        forward
            .with_gradient(
                0,
                ConvBackwardInput { sizes, tile },
                &[Read::Input(1), Read::OutputGradient],
            )
            .with_gradient(1, whole, &[Read::Input(0), Read::OutputGradient]),
        Case::of_floats(op(true, true), random),
        Case::of_floats(op(false, false), random),
        Case::of_floats(ConvBackwardInput { sizes, tile }, random),
        Case::of_floats(ConvBackwardWeight { sizes, parts, tile }, random),
    ]
}
