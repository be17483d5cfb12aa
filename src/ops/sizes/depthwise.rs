//! The sizes that all ops of a depthwise convolution share.

use crate::ops::case::Random;
use crate::ops::reference::arithmetic::min_task_len;
use crate::shape::WindowedPlanes;

/// The sizes of a depthwise convolution: input (N, C, H, W), weight (C·M, 1, KH, KW), output
/// (N, C·M, OH, OW). Output channel o reads input channel o/M.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepthwiseSizes {
    /// N.
    pub batch: usize,
    /// C.
    pub channels: usize,
    /// M: output channels of each input channel.
    pub multiplier: usize,
    /// (N·C, H, W) and the window.
    pub geometry: WindowedPlanes,
}

impl DepthwiseSizes {
    /// C·M.
    pub fn out_channels(&self) -> usize {
        self.channels * self.multiplier
    }

    /// N·C·H·W.
    pub fn input_len(&self) -> usize {
        self.batch * self.channels * self.geometry.input_area()
    }

    /// C·M·KH·KW.
    pub fn weight_len(&self) -> usize {
        self.out_channels() * self.geometry.kernel_area()
    }

    /// N·C·M·OH·OW.
    pub fn output_len(&self) -> usize {
        self.batch * self.out_channels() * self.geometry.output_area()
    }

    /// N·OH·OW.
    pub fn positions(&self) -> usize {
        self.batch * self.geometry.output_area()
    }

    pub(in crate::ops) fn constants(&self) -> Vec<(&'static str, f64)> {
        let sizes = [
            ("BATCH", self.batch),
            ("C", self.channels),
            ("M", self.multiplier),
        ];
        let sizes = sizes.into_iter().map(|(name, size)| (name, size as f64));
        let windows = self.geometry.constants().into_iter();
        sizes
            .chain(windows.filter(|(name, _)| *name != "PLANES"))
            .collect()
    }

    /// Floating-point operations; a multiply-add counts as two.
    pub(in crate::ops) fn flop(&self) -> usize {
        2 * self.output_len() * self.geometry.kernel_area()
    }

    pub(in crate::ops) fn random(random: &mut Random) -> Self {
        let geometry = random.geometry();
        let (batch, channels) = (random.size(3), random.size(4));
        DepthwiseSizes {
            batch,
            channels,
            multiplier: random.size(3),
            geometry: WindowedPlanes {
                planes: batch * channels,
                ..geometry
            },
        }
    }

    /// The minimum number of planes, or of sums over as many positions, per task of the reference.
    pub(in crate::ops) fn planes_of_a_task(&self) -> usize {
        let g = &self.geometry;
        min_task_len(self.multiplier * g.kernel_area() * g.output_area())
    }
}
