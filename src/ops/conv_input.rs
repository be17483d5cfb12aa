//! The gradient of a convolution's input, by implicit GEMM.

use rayon::prelude::*;

use super::conv::{SHADER, TILE, loops};
use super::element::tile_edges;
use super::reference::arithmetic::{Factor, tables};
use super::reference::sums::{Sums, round};
use super::reference::windows::{Convolution, Scratch};
use super::{
    Args, Binding, Bindings, Col2im, ConvSizes, ConvTile, Cost, Element, Elements, Epilogue,
    ErrorBound, Launch, Op, Product, Slot, Split, Sum, Variant, conv_tile, nested_loops,
};

/// `d_input[n, c] = Σ_o` of `d_output[n, o]` under every position of `weight[o, c]` that covers the
/// pixel: the adjoint of the forward pass. A weight that no window aligns with a pixel adds nothing
/// to it, even if it is infinite.
#[derive(Debug, Clone)]
pub struct ConvBackwardInput {
    /// The sizes.
    pub sizes: ConvSizes,
    /// The tile of a workgroup; `None` is a tile for each invocation.
    pub tile: Option<ConvTile>,
}

impl ConvBackwardInput {
    fn bound(&self) -> ErrorBound {
        ErrorBound::Products {
            terms: self.sizes.out_channels * self.sizes.geometry.kernel_area(),
        }
    }
}

impl Op for ConvBackwardInput {
    fn name(&self) -> &'static str {
        match self.tile {
            None => "conv_backward_input",
            Some(_) => conv_tile::BACKWARD_INPUT,
        }
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
        let pixels = s.batch * s.geometry.input_area();
        let terms = s.out_channels * s.geometry.kernel_area();
        let launch = match self.tile {
            Some(tile) => {
                // Each element may be computed again.
                let again = 64 * nested_loops(&[terms]);
                tile.launch(1, [s.in_channels, pixels], terms, conv_tile::STORES + again)
            }
            None => Launch::new(SHADER, s.in_channels.div_ceil(TILE) * pixels.div_ceil(TILE))
                .longest_loop(loops(s.out_channels, s)),
        };
        launch.constants(s.constants())
    }

    fn variants(&self) -> Vec<Variant> {
        let of = |tile| {
            Box::new(ConvBackwardInput {
                tile,
                ..self.clone()
            }) as Box<dyn Op>
        };
        conv_tile::variants("conv_backward_input", of)
    }

    fn choice(&self) -> Option<String> {
        Some(conv_tile::choice("input gradient", &self.sizes, ""))
    }

    /// The gradient of the columns, then col2im, which has loops of its own.
    fn split(&self, longest: u64) -> Option<Split> {
        let (s, geometry) = (&self.sizes, self.sizes.geometry);
        let (area, k) = (geometry.output_area(), s.fan_in());
        let product = Product {
            batch: s.batch,
            a_shared: true,
            ..Product::new([k, area, s.out_channels], [true, false], Epilogue::Plain)
        };
        let mut split = Split::new();
        let d_columns = split.scratch(s.batch * k * area);
        let [weight, d_output] = [0, 1].map(Slot::Input);
        split.step(product, &[weight, d_output, d_output], &[d_columns]);
        split.step(Col2im { geometry }, &[d_columns], &[Slot::Output(0)]);
        (Col2im { geometry }.launch().longest_loop <= longest).then_some(split)
    }

    fn cost(&self) -> Cost {
        Cost::new(self.sizes.flop(), &self.bindings())
    }

    /// The gradient of the unrolled windows, each element added to the pixel that it was read from;
    /// or a convolution, where it is one.
    fn reference(&self, args: &mut Args<'_>) {
        let s = self.sizes;
        let (weight, d_output) = (args.input(0), args.input(1));
        let images = args.output().par_chunks_mut(s.input_len() / s.batch);
        let images = images.enumerate().with_min_len(s.images_of_a_task());
        if let Some(convolution) = Convolution::of_gradients(s, weight) {
            images.for_each_init(Scratch::default, |scratch, (n, d_input)| {
                let sums = convolution.of_image(d_output, n, scratch);
                sums.each_row(d_input, round);
            });
            return;
        }
        let area = s.geometry.output_area();
        let [cells, outputs] = tables([s.fan_in(), s.out_channels], true);
        let weight = Factor {
            values: weight,
            rows: &cells,
            columns: &outputs,
        }
        .row_panels();
        let [channels, positions] = tables([s.out_channels, area], false);
        let windows = s.windows();
        let scratch = || (Sums::default(), vec![0.0; windows.len()]);
        images.for_each_init(scratch, |(sums, padded), (n, d_input)| {
            let gradients = Factor {
                values: &d_output[n * s.out_channels * area..],
                rows: &channels,
                columns: &positions,
            };
            padded.fill(0.0);
            windows.scatter(&weight, &gradients, sums, padded);
            windows.crop(padded, d_input);
        });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let (s, g) = (&self.sizes, &self.sizes.geometry);
        let (area, pixel) = (g.output_area(), index % g.input_area());
        let (n, c) = (
            index / g.input_area() / s.in_channels,
            index / g.input_area() % s.in_channels,
        );
        let mut sum = Sum::default();
        for o in 0..s.out_channels {
            for (cell, at) in g.cells().enumerate() {
                let Some(position) = g.position_over(pixel, at) else {
                    continue;
                };
                let weight = args.float(0, (o * s.in_channels + c) * g.kernel_area() + cell);
                sum.add_product(
                    weight,
                    args.float(1, (n * s.out_channels + o) * area + position),
                );
            }
        }
        sum.within(&self.bound())
    }

    fn tile_edges(&self, _: usize) -> Vec<usize> {
        let s = &self.sizes;
        tile_edges(
            s.batch,
            [s.in_channels, s.geometry.input_area()],
            self.tile.map_or([TILE, TILE], ConvTile::extents),
        )
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![self.bound()]
    }
}
