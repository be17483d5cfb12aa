//! candle: `--device cpu`.

#[path = "common.rs"]
mod common;

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{
    Conv2d, Conv2dConfig, Linear, Module, Optimizer, SGD, VarBuilder, VarMap, conv2d, linear, loss,
};
use common::{Epoch, Model, Options, Split, one_hot};

struct Network {
    convolutions: Vec<Conv2d>,
    hidden: Linear,
    output: Linear,
}

impl Network {
    fn new(model: Model, vb: VarBuilder) -> Result<Self> {
        let padded = Conv2dConfig {
            padding: 1,
            ..Default::default()
        };
        let (convolutions, features, hidden) = match model {
            Model::Tutorial => {
                let only = conv2d(1, 4, 3, Default::default(), vb.pp("conv1"))?;
                (vec![only], 676, 32)
            }
            Model::Larger => {
                let first = conv2d(1, 32, 3, padded, vb.pp("conv1"))?;
                let second = conv2d(32, 64, 3, padded, vb.pp("conv2"))?;
                (vec![first, second], 3136, 128)
            }
            other => panic!("{other:?} is not written for candle"),
        };
        Ok(Self {
            convolutions,
            hidden: linear(features, hidden, vb.pp("hidden"))?,
            output: linear(hidden, 10, vb.pp("output"))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.clone();
        for convolution in &self.convolutions {
            x = convolution.forward(&x)?.relu()?.max_pool2d(2)?;
        }
        let x = self.hidden.forward(&x.flatten_from(1)?)?.relu()?;
        self.output.forward(&x)
    }
}

/// The images of each batch, as tensors created before training begins.
fn images(split: &Split, batch: usize) -> Result<Vec<Tensor>> {
    let batches = split.batches(batch);
    let tensors = batches.map(|(x, _)| Tensor::from_slice(x, (batch, 1, 28, 28), &Device::Cpu));
    tensors.collect()
}

/// The targets of each batch: labels, or one-hot rows.
fn targets(split: &Split, options: &Options) -> Result<Vec<Tensor>> {
    let batches = split.batches(options.batch());
    let tensors = batches.map(|(_, y)| {
        if options.is_tutorial() {
            return Tensor::from_vec(one_hot(y), (y.len(), 10), &Device::Cpu);
        }
        let labels: Vec<u32> = y.iter().map(|&label| label.into()).collect();
        Tensor::from_vec(labels, y.len(), &Device::Cpu)
    });
    tensors.collect()
}

fn accuracy(network: &Network) -> Result<f64> {
    let test = Split::load("t10k", usize::MAX);
    let mut right = 0;
    for (x, y) in images(&test, 500)?
        .iter()
        .zip(test.labels.chunks_exact(500))
    {
        let answers = network.forward(x)?.argmax(D::Minus1)?.to_vec1::<u32>()?;
        right += answers
            .iter()
            .zip(y)
            .filter(|&(a, y)| *a == u32::from(*y))
            .count();
    }
    Ok(right as f64 / test.n as f64)
}

fn main() -> Result<()> {
    let options = Options::parse();
    assert_eq!(options.device, "cpu", "no other device is compared");
    let train = Split::load("train", options.images);
    let images = images(&train, options.batch())?;
    let targets = targets(&train, &options)?;
    let variables = VarMap::new();
    let vb = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    let network = Network::new(options.model, vb)?;
    let mut optimizer = SGD::new(variables.all_vars(), options.learning_rate())?;
    for number in 1..=options.epochs {
        let epoch = Epoch::start(number);
        let mut total = 0.0;
        for (step, (x, y)) in images.iter().zip(&targets).enumerate() {
            let logits = network.forward(x)?;
            let loss = if options.is_tutorial() {
                loss::mse(&logits, y)?
            } else {
                loss::cross_entropy(&logits, y)?
            };
            total += loss.to_scalar::<f32>()?;
            optimizer.backward_step(&loss)?;
            if step < options.steps_log {
                epoch.step_done(step);
            }
        }
        epoch.done(images.len() * options.batch(), total / images.len() as f32);
        if options.evaluate {
            println!("test accuracy {:.4}", accuracy(&network)?);
        }
    }
    Ok(())
}
