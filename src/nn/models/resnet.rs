//! Residual networks for small images.

use super::conv3;
use crate::error::Result;
use crate::graph::{Module, Var};
use crate::nn::{BatchNorm2d, Conv2d, Flatten, GlobalAvgPool2d, Linear, Sequential};

/// A residual network for small images (He et al., 2016, arXiv:1512.03385): a convolution, stages of
/// blocks of two convolutions whose shortcut is projected where the shape changes, the mean of each
/// channel, a fully connected layer. Each stage but the first halves the extents and doubles the
/// channels.
///
/// Tensors have the names that torchvision's residual networks give them: `conv1.weight`,
/// `layer2.0.bn1.bias`, `layer3.0.downsample.0.weight`, `fc.weight`.
#[derive(Debug)]
pub struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    stages: Vec<Sequential>,
    fc: Linear,
}

impl ResNet {
    /// A network for images of `in_channels` channels, of `stages` stages of `blocks` blocks each,
    /// with `width` channels in the first.
    pub fn new(
        in_channels: usize,
        width: usize,
        [stages, blocks]: [usize; 2],
        classes: usize,
    ) -> Self {
        let channels = |stage: usize| width << stage;
        let stage = |stage: usize| {
            let mut from = channels(stage.saturating_sub(1));
            let mut model = Sequential::new();
            for _ in 0..blocks {
                model = model.with(BasicBlock::new(from, channels(stage)));
                from = channels(stage);
            }
            model
        };
        ResNet {
            conv1: conv3(in_channels, width, 1),
            bn1: BatchNorm2d::new(width),
            stages: (0..stages).map(stage).collect(),
            fc: Linear::new(classes).in_features(channels(stages.saturating_sub(1))),
        }
    }

    /// ResNet-8: three stages of one block, of 16, 32 and 64 channels (section 4.2 of the paper, with
    /// n = 1).
    pub fn eight(in_channels: usize, classes: usize) -> Self {
        ResNet::new(in_channels, 16, [3, 1], classes)
    }

    /// ResNet-20: three stages of three blocks, of 16, 32 and 64 channels.
    pub fn twenty(in_channels: usize, classes: usize) -> Self {
        ResNet::new(in_channels, 16, [3, 3], classes)
    }

    /// ResNet-18 for images of 32×32: four stages of two blocks, of 64 to 512 channels, without the
    /// first strides and max-pool of the network for large images.
    pub fn eighteen(in_channels: usize, classes: usize) -> Self {
        ResNet::new(in_channels, 64, [4, 2], classes)
    }
}

impl Module for ResNet {
    fn forward<'g>(&self, x: Var<'g>) -> Result<Var<'g>> {
        let mut x = x
            .apply("conv1", &self.conv1)?
            .apply("bn1", &self.bn1)?
            .relu()?;
        for (place, stage) in self.stages.iter().enumerate() {
            x = x.apply(&format!("layer{}", place + 1), stage)?;
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
