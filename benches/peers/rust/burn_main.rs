//! Burn: `--device wgpu` or `--device flex`, depending on the crate it is built from.

#[path = "burn_networks.rs"]
mod burn_networks;
#[path = "common.rs"]
mod common;

use burn::nn::loss::{CrossEntropyLossConfig, MseLoss, Reduction};
use burn::optim::{GradientsParams, SgdConfig};
use burn::prelude::*;
use burn::tensor::TensorData;
use burn_networks::Network;
use common::{Epoch, Options, Split, one_hot};

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
        if options.is_tutorial() {
            let data = TensorData::new(one_hot(y), [y.len(), 10]);
            let targets: Tensor<2> = Tensor::from_data(data, device);
            let loss = MseLoss::new();
            return Box::new(move |logits| loss.forward(logits, targets.clone(), Reduction::Mean));
        }
        let labels: Vec<i32> = y.iter().map(|&label| label.into()).collect();
        let data = TensorData::new(labels, [y.len()]);
        let labels: Tensor<1, Int> = Tensor::from_data(data, device);
        let loss = CrossEntropyLossConfig::new().init(device);
        Box::new(move |logits| loss.forward(logits, labels.clone()))
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
    let mut network = Network::new(options.model, &device);
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
