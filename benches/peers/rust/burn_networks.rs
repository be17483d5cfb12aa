//! The networks that are compared, in Burn.

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d, Relu};
use burn::prelude::*;

use crate::common::Model;

#[derive(Module, Debug)]
pub enum Network {
    Plain(Plain),
    Residual(ResNet),
}

impl Network {
    pub fn new(model: Model, device: &Device) -> Self {
        match model {
            Model::ResNet(blocks) => Network::Residual(ResNet::new(blocks, device)),
            _ => Network::Plain(Plain::new(model, device)),
        }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        match self {
            Network::Plain(network) => network.forward(x),
            Network::Residual(network) => network.forward(x),
        }
    }
}

fn convolution(channels: [usize; 2], kernel: usize, padding: usize, device: &Device) -> Conv2d {
    let padding = PaddingConfig2d::Explicit(padding, padding, padding, padding);
    let config = Conv2dConfig::new(channels, [kernel; 2]);
    config.with_padding(padding).init(device)
}

/// Convolutions, each with ReLU and a max-pool, then fully connected layers.
#[derive(Module, Debug)]
pub struct Plain {
    convolutions: Vec<Conv2d>,
    pool: MaxPool2d,
    relu: Relu,
    linear: Vec<Linear>,
}

impl Plain {
    fn new(model: Model, device: &Device) -> Self {
        let convolution =
            |channels, kernel, padding| convolution(channels, kernel, padding, device);
        let (convolutions, features): (_, &[usize]) = match model {
            Model::Tutorial => (vec![convolution([1, 4], 3, 0)], &[676, 32, 10]),
            Model::Larger => (
                vec![convolution([1, 32], 3, 1), convolution([32, 64], 3, 1)],
                &[3136, 128, 10],
            ),
            _ => (
                vec![convolution([1, 6], 5, 2), convolution([6, 16], 5, 0)],
                &[400, 120, 84, 10],
            ),
        };
        let linear = features.windows(2);
        let linear = linear.map(|pair| LinearConfig::new(pair[0], pair[1]).init(device));
        Self {
            convolutions,
            pool: MaxPool2dConfig::new([2, 2]).init(),
            relu: Relu::new(),
            linear: linear.collect(),
        }
    }

    fn forward(&self, mut x: Tensor<4>) -> Tensor<2> {
        for convolution in &self.convolutions {
            x = self.pool.forward(self.relu.forward(convolution.forward(x)));
        }
        let mut x = x.flatten(1, 3);
        for (i, linear) in self.linear.iter().enumerate() {
            x = linear.forward(if i == 0 { x } else { self.relu.forward(x) });
        }
        x
    }
}

/// Three stages, of 16, 32 and 64 channels.
#[derive(Module, Debug)]
pub struct ResNet {
    first: ConvNorm,
    blocks: Vec<Block>,
    relu: Relu,
    output: Linear,
}

impl ResNet {
    fn new(blocks: usize, device: &Device) -> Self {
        let mut all = Vec::new();
        let mut from = 16;
        for to in [16, 32, 64] {
            for _ in 0..blocks {
                all.push(Block::new(from, to, device));
                from = to;
            }
        }
        Self {
            first: ConvNorm::new([1, 16], 3, 1, device),
            blocks: all,
            relu: Relu::new(),
            output: LinearConfig::new(64, 10).init(device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let mut x = self.relu.forward(self.first.forward(x));
        for block in &self.blocks {
            x = block.forward(x);
        }
        let means = x.mean_dim(2).mean_dim(3);
        self.output.forward(means.flatten(1, 3))
    }
}

#[derive(Module, Debug)]
struct Block {
    first: ConvNorm,
    second: ConvNorm,
    shortcut: Option<ConvNorm>,
    relu: Relu,
}

impl Block {
    fn new(from: usize, to: usize, device: &Device) -> Self {
        let stride = if from == to { 1 } else { 2 };
        Self {
            first: ConvNorm::new([from, to], 3, stride, device),
            second: ConvNorm::new([to, to], 3, 1, device),
            shortcut: (from != to).then(|| ConvNorm::new([from, to], 1, stride, device)),
            relu: Relu::new(),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.relu.forward(self.first.forward(x.clone()));
        let shortcut = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x),
            None => x,
        };
        self.relu.forward(self.second.forward(y) + shortcut)
    }
}

/// A convolution that keeps the size, but for its stride, and batch norm.
#[derive(Module, Debug)]
struct ConvNorm {
    convolution: Conv2d,
    norm: BatchNorm,
}

impl ConvNorm {
    fn new(channels: [usize; 2], kernel: usize, stride: usize, device: &Device) -> Self {
        let half = kernel / 2;
        let convolution = Conv2dConfig::new(channels, [kernel; 2])
            .with_stride([stride; 2])
            .with_padding(PaddingConfig2d::Explicit(half, half, half, half))
            .with_bias(false);
        Self {
            convolution: convolution.init(device),
            norm: BatchNormConfig::new(channels[1]).init(device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.forward(self.convolution.forward(x))
    }
}
