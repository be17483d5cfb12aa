//! A network for segmentation.

use super::conv_norm_relu;
use crate::error::Result;
use crate::graph::{Module, Var};
use crate::nn::{Conv2d, ConvTranspose2d, MaxPool2d, Sequential};

/// A small U-Net (Ronneberger et al., 2015, arXiv:1505.04597): pairs of convolutions with batch norm
/// on three levels, max-pools down, transposed convolutions up, and the channels of each level on
/// the way down joined to those on the way up. Logits (N, classes, H, W); height and width must be
/// multiples of four.
///
/// Train it with the class of each pixel as [`Target`](crate::data::Target), and
/// [`Loss::CrossEntropy`](crate::Loss::CrossEntropy).
#[derive(Debug)]
pub struct UNet {
    down: [Sequential; 2],
    bottom: Sequential,
    up: [ConvTranspose2d; 2],
    merge: [Sequential; 2],
    head: Conv2d,
}

impl UNet {
    /// A network for images of `in_channels` channels, with `width` channels on the first level,
    /// doubled on each following one.
    pub fn new(in_channels: usize, width: usize, classes: usize) -> Self {
        let pair = |from, to| conv_norm_relu(from, to).then(conv_norm_relu(to, to));
        let up = |from, to| ConvTranspose2d::new(from, to, 2).stride(2);
        UNet {
            down: [pair(in_channels, width), pair(width, 2 * width)],
            bottom: pair(2 * width, 4 * width),
            up: [up(4 * width, 2 * width), up(2 * width, width)],
            merge: [pair(4 * width, 2 * width), pair(2 * width, width)],
            head: Conv2d::new(width, classes, 1),
        }
    }
}

impl Module for UNet {
    fn forward<'g>(&self, x: Var<'g>) -> Result<Var<'g>> {
        let pool = MaxPool2d::new(2);
        let first = x.apply("down.0", &self.down[0])?;
        let second = first
            .apply("pool.0", &pool)?
            .apply("down.1", &self.down[1])?;
        let mut x = second
            .apply("pool.1", &pool)?
            .apply("bottom", &self.bottom)?;
        for (level, skipped) in [second, first].into_iter().enumerate() {
            x = x.apply(&format!("up.{level}"), &self.up[level])?;
            let joined = skipped.concat(&[x])?;
            x = joined.apply(&format!("merge.{level}"), &self.merge[level])?;
        }
        x.apply("head", &self.head)
    }
}
