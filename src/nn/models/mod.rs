//! Known networks, for small images.
//!
//! | network | parameters | for |
//! | --- | --- | --- |
//! | [`tutorial`] | 22,034 | digits; the tutorial's |
//! | [`lenet5`] | 61,706 | digits (LeCun et al., 1998) |
//! | [`compact`] | 50,282 | digits: two convolutions with batch norm |
//! | [`larger`] | 421,642 | digits; the larger one of the benchmarks |
//! | [`vgg`] | 288,170 | clothes, CIFAR: convolutions, batch norm, dropout |
//! | [`ResNet::eight`] | 78,042 | CIFAR (He et al., 2016) |
//! | [`ResNet::twenty`] | 272,474 | CIFAR |
//! | [`ResNet::eighteen`] | 11,173,962 | CIFAR |
//! | [`depthwise`] | 136,778 | CIFAR: depthwise and pointwise convolutions (Howard et al., 2017) |
//! | [`autoencoder`] | 9,569 | images of their own: strided and transposed convolutions |
//! | [`UNet`] | 117,378 | segmentation (Ronneberger et al., 2015) |
//!
//! The numbers are those for ten classes; of one channel and 28×28 for digits and clothes, of three
//! channels for CIFAR, of one channel for the autoencoder, and of three channels, width 16 and two
//! classes for the U-Net. Each is also a file, `models/NAME.toml`, for
//! `ModelFile` (feature `model-files`).

mod autoencoder;
mod classifiers;
mod resnet;
mod unet;

pub use autoencoder::autoencoder;
pub use classifiers::{compact, depthwise, larger, lenet5, tutorial, vgg};
pub use resnet::ResNet;
pub use unet::UNet;

use super::{BatchNorm2d, Conv2d, ReLU, Sequential};

/// A 3×3 convolution, padded to keep the extents, without a bias: the following batch norm has one.
fn conv3(from: usize, to: usize, stride: usize) -> Conv2d {
    Conv2d::new(from, to, 3)
        .stride(stride)
        .padding(1)
        .bias(false)
}

/// [`conv3`], batch norm and ReLU.
fn conv_norm_relu(from: usize, to: usize) -> Sequential {
    Sequential::new()
        .with(conv3(from, to, 1))
        .with(BatchNorm2d::new(to))
        .with(ReLU)
}
