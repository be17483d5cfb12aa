//! The gradient of a convolution's weights and bias, by implicit GEMM.

use std::ops::Range;

use rayon::prelude::*;

use super::conv::{SHADER, TILE};
use super::element::tile_edges;
use super::reference::arithmetic::{Factor, tables};
use super::reference::sums::Sums;
use super::{
    Args, Binding, Bindings, ConvSizes, ConvTile, Cost, Element, Elements, ErrorBound, Launch, Op,
    Sum, Variant, conv_tile,
};

/// For each of `parts` runs of output positions, counted over all images,
/// `d_weight[part, o, c, kh, kw] = Σ d_output[n, o, p] · input[n, c, pixel under (kh, kw) at p]`
/// and `d_bias[part, o] = Σ d_output[n, o, p]`; [`ReduceSum`](super::ReduceSum) adds the parts in a
/// fixed order.
#[derive(Debug, Clone)]
pub struct ConvBackwardWeight {
    /// The sizes.
    pub sizes: ConvSizes,
    /// Runs of equal length into which the N·OH·OW positions are cut; the last ones may have fewer,
    /// or none.
    pub parts: usize,
    /// The tile of a workgroup; `None` is a tile for each invocation.
    pub tile: Option<ConvTile>,
}

impl ConvBackwardWeight {
    /// N·OH·OW.
    fn positions(&self) -> usize {
        self.sizes.batch * self.sizes.geometry.output_area()
    }

    fn part_len(&self) -> usize {
        self.positions().div_ceil(self.parts)
    }

    /// The output positions of a part, counted over all images.
    fn positions_of(&self, part: usize) -> Range<usize> {
        let end = |parts: usize| (parts * self.part_len()).min(self.positions());
        end(part)..end(part + 1)
    }

    fn bounds(&self) -> [ErrorBound; 2] {
        let terms = self.part_len();
        [ErrorBound::Products { terms }, ErrorBound::Sum { terms }]
    }
}

impl Op for ConvBackwardWeight {
    fn name(&self) -> &'static str {
        match self.tile {
            None => "conv_backward_weight",
            Some(_) => conv_tile::BACKWARD_WEIGHT,
        }
    }

    fn bindings(&self) -> Bindings {
        let s = &self.sizes;
        Bindings::new([
            Binding::read("input", s.input_len()),
            Binding::read("d_output", s.output_len()),
            Binding::write("d_weight", self.parts * s.weight_len()),
            Binding::write("d_bias", self.parts * s.out_channels),
        ])
    }

    fn launch(&self) -> Launch {
        let mut constants = self.sizes.constants();
        constants.push(("PARTS", self.parts as f64));
        let extents = [self.sizes.out_channels, self.sizes.fan_in()];
        if let Some(tile) = self.tile {
            let launch = tile.launch(self.parts, extents, self.part_len(), conv_tile::STORES);
            return launch.constants(constants);
        }
        let tiles = extents[0].div_ceil(TILE) * extents[1].div_ceil(TILE);
        // A part may begin and end within a row; each row is a loop, and two loops store the bias.
        let rows = self.part_len().div_ceil(self.sizes.geometry.output.width) + 1;
        Launch::new(SHADER, self.parts * tiles)
            .constants(constants)
            .longest_loop((self.part_len() + 2 * rows + 1 + TILE + 2) as u64)
    }

    fn variants(&self) -> Vec<Variant> {
        let of = |tile| {
            Box::new(ConvBackwardWeight {
                tile,
                ..self.clone()
            }) as Box<dyn Op>
        };
        conv_tile::variants("conv_backward_weight", of)
    }

    fn choice(&self) -> Option<String> {
        let more = format!(", {} parts", self.parts);
        Some(conv_tile::choice("weight gradient", &self.sizes, &more))
    }

    fn cost(&self) -> Cost {
        Cost::new(self.sizes.flop(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let s = self.sizes;
        let (input, d_output) = (args.input(0), args.input(1));
        let area = s.geometry.output_area();
        let [channels, positions] = tables([s.out_channels, area], false);
        let windows = s.windows();
        let (d_weight, d_bias) = args.two_outputs();
        let d_bias = d_bias.par_chunks_mut(s.out_channels);
        let parts = d_weight
            .par_chunks_mut(s.weight_len())
            .zip(d_bias)
            .enumerate();
        let images_of_part = self.part_len().div_ceil(area);
        let parts = parts.with_min_len(s.images_of_a_task().div_ceil(images_of_part));
        parts.for_each(|(part, (d_weight, d_bias))| {
            let mut padded = vec![0.0; windows.len()];
            let mut sums = Sums::default();
            let mut totals = vec![0f64; s.out_channels];
            sums.set_zero(s.fan_in(), s.out_channels);
            let all = self.positions_of(part);
            for n in all.start / area..all.end.div_ceil(area) {
                let own =
                    all.start.max(n * area) - n * area..all.end.min((n + 1) * area) - n * area;
                let gradients = Factor {
                    values: &d_output[n * s.out_channels * area..],
                    rows: &channels,
                    columns: &positions[own.clone()],
                };
                for (total, sum) in totals.iter_mut().zip(gradients.row_sums()) {
                    *total += sum;
                }
                windows.pad(s.image(input, n), &mut padded);
                let columns = &windows.positions[own];
                let unrolled = Factor {
                    columns,
                    ..windows.unrolled(&padded)
                };
                sums.add_windows_product(&unrolled, &gradients.transposed());
            }
            for f in 0..s.fan_in() {
                for (o, &sum) in sums.row(f).flatten().enumerate() {
                    d_weight[o * s.fan_in() + f] = sum as f32;
                }
            }
            for (value, total) in d_bias.iter_mut().zip(totals) {
                *value = total as f32;
            }
        });
    }

    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        let (s, g) = (&self.sizes, &self.sizes.geometry);
        let (area, fan_in) = (g.output_area(), s.fan_in());
        let row = if output == 0 { index / fan_in } else { index };
        let (part, o) = (row / s.out_channels, row % s.out_channels);
        let (c, cell) = (index % fan_in / g.kernel_area(), index % g.kernel_area());
        let cell = (cell / g.window.kernel.width, cell % g.window.kernel.width);
        let [weight_bound, bias_bound] = self.bounds();
        let mut sum = Sum::default();
        for at in self.positions_of(part) {
            let (n, position) = (at / area, at % area);
            let gradient = args.float(1, (n * s.out_channels + o) * area + position);
            if output == 1 {
                sum.add(gradient);
                continue;
            }
            let position = (position / g.output.width, position % g.output.width);
            let first = (n * s.in_channels + c) * g.input_area();
            let value = g
                .pixel(position, cell)
                .map_or(0.0, |pixel| args.float(0, first + pixel));
            sum.add_product(gradient, value);
        }
        sum.within(if output == 0 {
            &weight_bound
        } else {
            &bias_bound
        })
    }

    fn tile_edges(&self, output: usize) -> Vec<usize> {
        let columns = if output == 0 { self.sizes.fan_in() } else { 1 };
        let tile = self.tile.map_or([TILE, TILE], ConvTile::extents);
        tile_edges(self.parts, [self.sizes.out_channels, columns], tile)
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        self.bounds().into()
    }
}
