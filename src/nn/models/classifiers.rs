//! Networks without branches.

use super::{conv_norm_relu, conv3};
use crate::nn::{
    BatchNorm2d, Conv2d, Dropout, Flatten, GlobalAvgPool2d, Linear, MaxPool2d, ReLU, Sequential,
};

/// The tutorial's network, with the channels of its convolution and the units of its hidden layer
/// multiplied by `width`: at 1, as in the tutorial, 22,034 parameters for 28×28 images.
pub fn tutorial(width: usize) -> Sequential {
    Sequential::new()
        .with(Conv2d::new(1, 4 * width, 3))
        .with(ReLU)
        .with(MaxPool2d::new(2))
        .with(Flatten)
        .with(Linear::new(32 * width))
        .with(ReLU)
        .with(Linear::new(10))
}

/// Two convolutions of 32 and 64 channels and a hidden layer of 128 units, each multiplied by
/// `width`: at 1, 421,642 parameters for 28×28 images.
pub fn larger(width: usize) -> Sequential {
    Sequential::new()
        .with(Conv2d::new(1, 32 * width, 3).padding(1))
        .with(ReLU)
        .with(MaxPool2d::new(2))
        .with(Conv2d::new(32 * width, 64 * width, 3).padding(1))
        .with(ReLU)
        .with(MaxPool2d::new(2))
        .with(Flatten)
        .with(Linear::new(128 * width))
        .with(ReLU)
        .with(Linear::new(10))
}

/// LeNet-5 (LeCun et al., 1998, *Gradient-based learning applied to document recognition*), as it is
/// trained today: with ReLU, max-pools, and a fully connected layer in place of the radial basis
/// functions.
pub fn lenet5(in_channels: usize, classes: usize) -> Sequential {
    Sequential::new()
        .with(Conv2d::new(in_channels, 6, 5).padding(2))
        .with(ReLU)
        .with(MaxPool2d::new(2))
        .with(Conv2d::new(6, 16, 5))
        .with(ReLU)
        .with(MaxPool2d::new(2))
        .with(Flatten)
        .with(Linear::new(120))
        .with(ReLU)
        .with(Linear::new(84))
        .with(ReLU)
        .with(Linear::new(classes))
}

/// Two convolutions of 32 and 64 channels with batch norm, and a classifier behind dropout.
pub fn compact(in_channels: usize, classes: usize) -> Sequential {
    conv_norm_relu(in_channels, 32)
        .with(MaxPool2d::new(2))
        .then(conv_norm_relu(32, 64))
        .with(MaxPool2d::new(2))
        .with(Flatten)
        .with(Dropout::new(0.3))
        .with(Linear::new(classes))
}

/// Three pairs of 3×3 convolutions (Simonyan and Zisserman, 2015, arXiv:1409.1556) of 32, 64 and 128
/// channels with batch norm, a dropout of `dropout` before the classifier.
pub fn vgg(in_channels: usize, classes: usize, dropout: f32) -> Sequential {
    let pair = |from, to| conv_norm_relu(from, to).then(conv_norm_relu(to, to));
    pair(in_channels, 32)
        .with(MaxPool2d::new(2))
        .then(pair(32, 64))
        .with(MaxPool2d::new(2))
        .then(pair(64, 128))
        .with(GlobalAvgPool2d)
        .with(Flatten)
        .with(Dropout::new(dropout))
        .with(Linear::new(classes))
}

/// Depthwise convolutions, each followed by a pointwise one that doubles the channels or keeps them
/// (MobileNet: Howard et al., 2017, arXiv:1704.04861), for images of 32×32.
pub fn depthwise(in_channels: usize, classes: usize) -> Sequential {
    let mut model = conv_norm_relu(in_channels, 32);
    for (from, to, stride) in [
        (32, 64, 1),
        (64, 128, 2),
        (128, 128, 1),
        (128, 256, 2),
        (256, 256, 1),
    ] {
        model = model
            .with(conv3(from, from, stride).groups(from))
            .with(BatchNorm2d::new(from))
            .with(ReLU)
            .with(Conv2d::new(from, to, 1).bias(false))
            .with(BatchNorm2d::new(to))
            .with(ReLU);
    }
    model
        .with(GlobalAvgPool2d)
        .with(Flatten)
        .with(Linear::new(classes))
}
