//! The sizes that all ops of a convolution share.

use crate::ops::case::Random;
use crate::ops::reference::arithmetic::min_task_len;
use crate::ops::reference::windows::Windows;
use crate::ops::{Elements, Sum};
use crate::shape::WindowedPlanes;

/// The sizes of a convolution: input (N, C, H, W), weight (O, C, KH, KW), output (N, O, OH, OW).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvSizes {
    /// N.
    pub batch: usize,
    /// C.
    pub in_channels: usize,
    /// O.
    pub out_channels: usize,
    /// (N·C, H, W) and the window.
    pub geometry: WindowedPlanes,
}

impl ConvSizes {
    /// C·KH·KW: the weights of one output channel.
    pub fn fan_in(&self) -> usize {
        self.in_channels * self.geometry.kernel_area()
    }

    /// N·C·H·W.
    pub fn input_len(&self) -> usize {
        self.batch * self.in_channels * self.geometry.input_area()
    }

    /// O·C·KH·KW.
    pub fn weight_len(&self) -> usize {
        self.out_channels * self.fan_in()
    }

    /// N·O·OH·OW.
    pub fn output_len(&self) -> usize {
        self.batch * self.out_channels * self.geometry.output_area()
    }

    pub(in crate::ops) fn constants(&self) -> Vec<(&'static str, f64)> {
        let sizes = [
            ("BATCH", self.batch),
            ("C", self.in_channels),
            ("O", self.out_channels),
        ];
        let sizes = sizes.into_iter().map(|(name, size)| (name, size as f64));
        let windows = self
            .geometry
            .constants()
            .into_iter()
            .filter(|(name, _)| *name != "PLANES");
        sizes.chain(windows).collect()
    }

    /// Floating-point operations; a multiply-add counts as two.
    pub(in crate::ops) fn flop(&self) -> usize {
        2 * self.output_len() * self.fan_in()
    }

    pub(in crate::ops) fn random(random: &mut Random) -> Self {
        let geometry = random.geometry();
        let (batch, in_channels) = (random.size(3), random.size(5));
        ConvSizes {
            batch,
            in_channels,
            out_channels: random.size(19),
            geometry: WindowedPlanes {
                planes: batch * in_channels,
                ..geometry
            },
        }
    }

    /// The output [n, o, position] before the bias; input 1 is the weight.
    pub(in crate::ops) fn output_at(
        &self,
        args: &Elements<'_>,
        [n, o, position]: [usize; 3],
        input: &dyn Fn(usize) -> f64,
    ) -> Sum {
        let g = &self.geometry;
        let position = (position / g.output.width, position % g.output.width);
        let mut sum = Sum::default();
        for c in 0..self.in_channels {
            for (cell, at) in g.cells().enumerate() {
                let first = (n * self.in_channels + c) * g.input_area();
                let value = g
                    .pixel(position, at)
                    .map_or(0.0, |pixel| input(first + pixel));
                let weight = (o * self.in_channels + c) * g.kernel_area() + cell;
                sum.add_product(args.float(1, weight), value);
            }
        }
        sum
    }

    /// The input from image `n` on.
    pub(in crate::ops) fn image<'a>(&self, input: &'a [f32], n: usize) -> &'a [f32] {
        &input[n * self.in_channels * self.geometry.input_area()..]
    }

    /// The windows on an image.
    pub(in crate::ops) fn windows(&self) -> Windows {
        Windows::new(self.in_channels, self.geometry)
    }

    /// The minimum number of images per task of the reference.
    pub(in crate::ops) fn images_of_a_task(&self) -> usize {
        min_task_len(self.flop() / (2 * self.batch))
    }
}
