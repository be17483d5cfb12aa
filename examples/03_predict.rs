//! Saves a trained model to a file, and predicts from the file alone: classes and probabilities.

mod common;

use std::path::Path;
use std::process::ExitCode;

use common::say;
use wgrad::data::{self, Dataset};
use wgrad::nn::models;
use wgrad::{Checkpoint, Config, Device, Loss, Predictor, Result, Sgd, Trainer};

/// Number of test images shown.
const SHOWN: usize = 8;

fn main() -> ExitCode {
    common::run(predict())
}

async fn predict() -> Result<()> {
    let data = data::load_mnist("data/mnist")?.with_train_len(12_800)?;
    let device = Device::auto().await?;
    let file = std::env::temp_dir().join("wgrad_digits.safetensors");
    train(&device, &data, &file).await?;

    // A checkpoint contains its model, so none is needed here.
    let mut predictor = Predictor::from_checkpoint(&device, &Checkpoint::load(&file)?)?;
    let images = data.test.floats(0..data.test.len())?;
    let classes = predictor.classes(&images).await?;
    let shown = &images[..SHOWN * predictor.sample().elements()];
    let probabilities = predictor.probabilities(shown).await?;
    for (image, row) in probabilities.chunks(predictor.class_count()).enumerate() {
        let (class, label) = (classes[image], data.test.labels[image]);
        let sure = 100.0 * row[class];
        say!("image {image}: a {class}, {sure:.1} % sure; labelled {label}")?;
    }
    let pairs = classes.iter().zip(&data.test.labels);
    let right = pairs.filter(|(class, label)| **class == usize::from(**label));
    let accuracy = right.count() as f64 / classes.len() as f64;
    say!("test accuracy {accuracy:.4}")
}

async fn train(device: &Device, data: &Dataset, file: &Path) -> Result<()> {
    let config = Config::new(Loss::CrossEntropy, Sgd::new(0.05).momentum(0.9));
    let mut trainer = Trainer::new(device, &models::tutorial(1), data, config).await?;
    trainer.train_epoch(|_progress| {}).await?;
    trainer.checkpoint().await?.save(file)
}
