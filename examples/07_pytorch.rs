//! Weights from PyTorch: `safetensors.torch.save_file(net.state_dict(), …)` there, a `Predictor`
//! here.

mod common;

use std::process::ExitCode;

use common::say;
use wgrad::nn::models;
use wgrad::{Checkpoint, Device, Error, Predictor, Result, data};

fn main() -> ExitCode {
    common::run(predict())
}

async fn predict() -> Result<()> {
    // The state_dict of the tutorial's network as an nn.Sequential with random weights.
    let weights = Checkpoint::load("tests/golden/torch_state.safetensors")?;
    for (name, (shape, _)) in &weights.tensors {
        say!("{name} {shape}")?;
    }
    // Weights are matched by name: a Sequential numbers its layers as PyTorch does, and a struct
    // names them with `apply`, so that `nn::models::ResNet` loads weights with torchvision's
    // ResNet names.
    let device = Device::auto().await?;
    let mut predictor = Predictor::new(&device, &models::tutorial(1), [1, 28, 28], &weights)?;
    let images = data::load_mnist("data/mnist")?.test.floats(0..8)?;
    let logits = predictor.logits(&images).await?;
    say!("logits of the first image {:.4?}", &logits[..10])?;
    say!("classes {:?}", predictor.classes(&images).await?)?;

    // PyTorch's logits for the same images.
    let torch = Checkpoint::load("tests/golden/torch_logits.safetensors")?;
    let (_, torch) = &torch.tensors["logits"];
    let differences = logits.iter().zip(torch).map(|(a, b)| (a - b).abs());
    let worst = differences.fold(0f32, f32::max);
    say!("PyTorch's logits differ by at most {worst:.1e}")?;
    match worst < 1e-5 {
        true => Ok(()),
        false => Err(Error::value("logits", "PyTorch's", "others")),
    }
}
