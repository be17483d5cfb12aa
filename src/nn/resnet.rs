//! A residual network for small images.

use super::{BatchNorm2d, Conv2d, Flatten, GlobalAvgPool2d, Linear, Sequential};
use crate::error::Result;
use crate::graph::{Module, Var};

/// ResNet-8 for images such as CIFAR-10's (He et al., 2016, arXiv:1512.03385, section 4.2, with n =
/// 1): a convolution, three blocks of two convolutions whose shortcut is projected where the shape
/// changes, the mean of each channel, a fully connected layer.
///
/// Tensors have the names that torchvision's residual networks give them: `conv1.weight`,
/// `layer2.0.bn1.bias`, `layer3.0.downsample.0.weight`, `fc.weight`.
#[derive(Debug)]
pub struct ResNet8 {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    stages: [Sequential; 3],
    fc: Linear,
}

impl ResNet8 {
    /// A network for images of `in_channels` channels, with `width` channels in the first stage (16
    /// in the paper), doubled in each following stage.
    pub fn new(in_channels: usize, width: usize, classes: usize) -> Self {
        let stage = |from: usize, to: usize| Sequential::new().with(BasicBlock::new(from, to));
        ResNet8 {
            conv1: conv3(in_channels, width, 1),
            bn1: BatchNorm2d::new(width),
            stages: [
                stage(width, width),
                stage(width, 2 * width),
                stage(2 * width, 4 * width),
            ],
            fc: Linear::new(classes).in_features(4 * width),
        }
    }
}

impl Module for ResNet8 {
    fn forward<'g>(&self, x: Var<'g>) -> Result<Var<'g>> {
        let mut x = x
            .apply("conv1", &self.conv1)?
            .apply("bn1", &self.bn1)?
            .relu()?;
        for (stage, name) in self.stages.iter().zip(["layer1", "layer2", "layer3"]) {
            x = x.apply(name, stage)?;
        }
        let x = x
            .apply("avgpool", &GlobalAvgPool2d)?
            .apply("flatten", &Flatten)?;
        x.apply("fc", &self.fc)
    }
}

/// Two convolutions and a shortcut; if the channels change, the extents are halved and the shortcut
/// is projected.
#[derive(Debug)]
struct BasicBlock {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    downsample: Option<Sequential>,
}

impl BasicBlock {
    fn new(from: usize, to: usize) -> Self {
        let stride = if from == to { 1 } else { 2 };
        let projection = || {
            Sequential::new()
                .with(Conv2d::new(from, to, 1).stride(stride).bias(false))
                .with(BatchNorm2d::new(to))
        };
        BasicBlock {
            conv1: conv3(from, to, stride),
            bn1: BatchNorm2d::new(to),
            conv2: conv3(to, to, 1),
            bn2: BatchNorm2d::new(to),
            downsample: (from != to).then(projection),
        }
    }
}

impl Module for BasicBlock {
    fn forward<'g>(&self, x: Var<'g>) -> Result<Var<'g>> {
        let y = x
            .apply("conv1", &self.conv1)?
            .apply("bn1", &self.bn1)?
            .relu()?;
        let y = y.apply("conv2", &self.conv2)?.apply("bn2", &self.bn2)?;
        let shortcut = match &self.downsample {
            Some(downsample) => x.apply("downsample", downsample)?,
            None => x,
        };
        y.add(shortcut)?.relu()
    }
}

/// A 3×3 convolution, padded to keep the extents, without a bias: the following batch norm has one.
fn conv3(from: usize, to: usize, stride: usize) -> Conv2d {
    Conv2d::new(from, to, 3)
        .stride(stride)
        .padding(1)
        .bias(false)
}
