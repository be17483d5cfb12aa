//! A convolutional autoencoder.

use crate::nn::{Conv2d, ConvTranspose2d, ReLU, Sequential, Sigmoid};

/// Two strided convolutions to a quarter of the extents and 32 channels, and two transposed ones
/// back; the output is from 0 to 1, as images are. Height and width must be multiples of four.
///
/// Train it with [`Target::Input`](crate::data::Target::Input), which
/// [`Arrays::new`](crate::data::Arrays::new) has, and [`Loss::Mse`](crate::Loss::Mse).
pub fn autoencoder(channels: usize) -> Sequential {
    let down = |from, to| Conv2d::new(from, to, 3).stride(2).padding(1);
    let up = |from, to| {
        ConvTranspose2d::new(from, to, 3)
            .stride(2)
            .padding(1)
            .output_padding(1)
    };
    Sequential::new()
        .with(down(channels, 16))
        .with(ReLU)
        .with(down(16, 32))
        .with(ReLU)
        .with(up(32, 16))
        .with(ReLU)
        .with(up(16, channels))
        .with(Sigmoid)
}
