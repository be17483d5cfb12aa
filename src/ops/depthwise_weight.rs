//! The gradient of a depthwise convolution's weights.

use std::ops::Range;

use rayon::prelude::*;

use super::depthwise::SHADER;
use super::reference::arithmetic::{Factor, tables};
use super::reference::sums::{Sums, round};
use super::reference::windows::Windows;
use super::{
    Args, Binding, Bindings, Cost, DepthwiseSizes, Element, Elements, ErrorBound, Launch, Op, Sum,
    nested_loops,
};

/// For each of `parts` runs of output positions, counted over all images,
/// `d_weight[part, o, kh, kw] = Σ d_output[n, o, p] · input[n, o/M, pixel under (kh, kw) at p]`;
/// [`ReduceSum`](super::ReduceSum) adds the parts in a fixed order.
#[derive(Debug, Clone)]
pub struct DepthwiseBackwardWeight {
    /// The sizes.
    pub sizes: DepthwiseSizes,
    /// Runs of equal length into which the N·OH·OW positions are cut; the last ones may have fewer,
    /// or none.
    pub parts: usize,
}

impl DepthwiseBackwardWeight {
    fn part_len(&self) -> usize {
        self.sizes.positions().div_ceil(self.parts)
    }

    /// The output positions of a part, counted over all images.
    fn positions_of(&self, part: usize) -> Range<usize> {
        let end = |parts: usize| (parts * self.part_len()).min(self.sizes.positions());
        end(part)..end(part + 1)
    }

    fn bound(&self) -> ErrorBound {
        let terms = self.part_len();
        ErrorBound::Products { terms }
    }
}

impl Op for DepthwiseBackwardWeight {
    fn name(&self) -> &'static str {
        "depthwise_backward_weight"
    }

    fn bindings(&self) -> Bindings {
        let s = &self.sizes;
        Bindings::new([
            Binding::read("input", s.input_len()),
            Binding::read("d_output", s.output_len()),
            Binding::write("d_weight", self.parts * s.weight_len()),
        ])
    }

    fn launch(&self) -> Launch {
        let s = &self.sizes;
        let quads = s.geometry.kernel_area().div_ceil(4);
        Launch::new(SHADER, self.parts * s.out_channels() * quads)
            .constants(s.constants())
            .constants([("PARTS", self.parts as f64)])
            .longest_loop(nested_loops(&[self.part_len()]))
    }

    fn cost(&self) -> Cost {
        Cost::new(self.sizes.flop(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (s, g) = (self.sizes, self.sizes.geometry);
        let (input, d_output) = (args.input(0), args.input(1));
        let (m, cells, area) = (s.multiplier, g.kernel_area(), g.output_area());
        let [channels, positions] = tables([m, area], false);
        let windows = Windows::new(1, g);
        // Each is the sum of a part over one input channel.
        let sums_of = args.output().par_chunks_mut(m * cells).enumerate();
        let sums_of = sums_of.with_min_len(s.planes_of_a_task());
        let scratch = || (Sums::default(), vec![0.0; windows.len()]);
        sums_of.for_each_init(scratch, |(sums, padded), (at, d_weight)| {
            let (part, c) = (at / s.channels, at % s.channels);
            let of_part = self.positions_of(part);
            sums.set_zero(m, cells);
            for n in of_part.start / area..of_part.end.div_ceil(area) {
                let first = n * area;
                let own = of_part.start.max(first) - first..of_part.end.min(first + area) - first;
                let plane = n * s.channels + c;
                let gradients = Factor {
                    values: &d_output[plane * m * area..],
                    rows: &channels,
                    columns: &positions[own.clone()],
                };
                windows.pad(&input[plane * g.input_area()..], padded);
                let unrolled = Factor {
                    columns: &windows.positions[own],
                    ..windows.unrolled(padded)
                };
                sums.add_product(&gradients.row_panels(), &unrolled.transposed());
            }
            sums.each_row(d_weight, round);
        });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let (s, g) = (&self.sizes, &self.sizes.geometry);
        let (area, cells) = (g.output_area(), g.kernel_area());
        let (filter, cell) = (index / cells, index % cells);
        let (part, o) = (filter / s.out_channels(), filter % s.out_channels());
        let cell = (cell / g.window.kernel.width, cell % g.window.kernel.width);
        let mut sum = Sum::default();
        for at in self.positions_of(part) {
            let (n, position) = (at / area, at % area);
            let gradient = args.float(1, (n * s.out_channels() + o) * area + position);
            let position = (position / g.output.width, position % g.output.width);
            let first = (n * s.channels + o / s.multiplier) * g.input_area();
            let pixel = g.pixel(position, cell);
            let value = pixel.map_or(0.0, |pixel| args.float(0, first + pixel));
            sum.add_product(gradient, value);
        }
        sum.within(&self.bound())
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![self.bound()]
    }
}
