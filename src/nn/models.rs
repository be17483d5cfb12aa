//! The networks of verification and benchmarks.

pub use super::resnet::ResNet8;
use super::{Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential};

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
