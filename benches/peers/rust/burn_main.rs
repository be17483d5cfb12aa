//! Burn: `--device wgpu` or `--device flex`, depending on the crate it is built from.

#[path = "common.rs"]
mod common;

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::{CrossEntropyLossConfig, MseLoss, Reduction};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d, Relu};
use burn::optim::{GradientsParams, SgdConfig};
use burn::prelude::*;
use burn::tensor::TensorData;
use common::{Epoch, Options, Split, one_hot};

#[derive(Module, Debug)]
struct Network {
    convolutions: Vec<Conv2d>,
    pool: MaxPool2d,
    relu: Relu,
    hidden: Linear,
    output: Linear,
}

impl Network {
    fn new(is_larger: bool, device: &Device) -> Self {
        let convolution = |channels: [usize; 2]| Conv2dConfig::new(channels, [3, 3]);
        let padded = |channels| {
            let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
            convolution(channels).with_padding(padding).init(device)
        };
        let (convolutions, features, hidden) = if is_larger {
            (vec![padded([1, 32]), padded([32, 64])], 3136, 128)
        } else {
            (vec![convolution([1, 4]).init(device)], 676, 32)
        };
        Self {
            convolutions,
            pool: MaxPool2dConfig::new([2, 2]).init(),
            relu: Relu::new(),
            hidden: LinearConfig::new(features, hidden).init(device),
            output: LinearConfig::new(hidden, 10).init(device),
        }
    }

    fn forward(&self, mut x: Tensor<4>) -> Tensor<2> {
        for convolution in &self.convolutions {
            x = self.pool.forward(self.relu.forward(convolution.forward(x)));
        }
        let x = self.hidden.forward(x.flatten(1, 3));
        self.output.forward(self.relu.forward(x))
    }
}

/// The images of each batch, uploaded before training begins: no copies in the timed loop.
fn images(split: &Split, batch: usize, device: &Device) -> Vec<Tensor<4>> {
    let batches = split.batches(batch);
    let tensors = batches.map(|(x, _)| {
        let data = TensorData::new(x.to_vec(), [batch, 1, 28, 28]);
        Tensor::from_data(data, device)
    });
    tensors.collect()
}

type Loss = Box<dyn Fn(Tensor<2>) -> Tensor<1>>;

/// The loss of each batch, with its targets already on the device.
fn losses(split: &Split, options: &Options, device: &Device) -> Vec<Loss> {
    let batches = split.batches(options.batch());
    let losses = batches.map(|(_, y)| -> Loss {
        if options.is_larger {
            let labels: Vec<i32> = y.iter().map(|&label| label.into()).collect();
            let data = TensorData::new(labels, [y.len()]);
            let labels: Tensor<1, Int> = Tensor::from_data(data, device);
            let loss = CrossEntropyLossConfig::new().init(device);
            Box::new(move |logits| loss.forward(logits, labels.clone()))
        } else {
            let data = TensorData::new(one_hot(y), [y.len(), 10]);
            let targets: Tensor<2> = Tensor::from_data(data, device);
            let loss = MseLoss::new();
            Box::new(move |logits| loss.forward(logits, targets.clone(), Reduction::Mean))
        }
    });
    losses.collect()
}

fn accuracy(network: &Network, device: &Device) -> f64 {
    let network = network.valid();
    let test = Split::load("t10k", usize::MAX);
    let batches = images(&test, 500, device).into_iter();
    let right = batches.zip(test.labels.chunks_exact(500)).map(|(x, y)| {
        let answers = network.forward(x).argmax(1).into_data().convert::<i64>();
        let answers = answers.try_to_vec::<i64>().expect("whole numbers");
        answers
            .iter()
            .zip(y)
            .filter(|&(a, y)| *a == i64::from(*y))
            .count()
    });
    right.sum::<usize>() as f64 / test.n as f64
}

fn device(name: &str) -> Device {
    match name {
        #[cfg(feature = "gpu")]
        "wgpu" => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        #[cfg(feature = "flex")]
        "flex" => Device::flex(),
        _ => panic!("--device {name}: this program was not built with it"),
    }
}

fn main() {
    let options = Options::parse();
    let plain = device(&options.device);
    let device = plain.clone().autodiff();
    let train = Split::load("train", options.images);
    let images = images(&train, options.batch(), &device);
    let losses = losses(&train, &options, &device);
    let mut network = Network::new(options.is_larger, &device);
    let mut optimizer = SgdConfig::new().init();
    device.sync().expect("a healthy device");
    for number in 1..=options.epochs {
        let epoch = Epoch::start(number);
        let mut total: Tensor<1> = Tensor::zeros([1], &plain);
        for (step, (x, loss)) in images.iter().zip(&losses).enumerate() {
            let loss = loss(network.forward(x.clone()));
            total = total + loss.clone().inner();
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(options.learning_rate(), network, gradients);
            if step < options.steps_log {
                device.sync().expect("a healthy device");
                epoch.step_done(step);
            }
        }
        let mean = total.into_scalar::<f32>() / images.len() as f32;
        device.sync().expect("a healthy device");
        epoch.done(images.len() * options.batch(), mean);
        if options.evaluate {
            println!("test accuracy {:.4}", accuracy(&network, &plain));
        }
    }
}
