//! Trains a network on a data set in memory, and tests it.

mod common;

use std::ops::Range;
use std::process::ExitCode;

use common::say;
use wgrad::data::{Dataset, Samples};
use wgrad::nn::{Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential};
use wgrad::{Config, Device, Loss, Result, Sgd, Split, Trainer};

fn main() -> ExitCode {
    common::run(train())
}

async fn train() -> Result<()> {
    let data = Dataset::new([1, 8, 8], 2, bars(0..512), bars(512..640))?;
    let model = Sequential::new()
        .with(Conv2d::new(1, 4, 3).padding(1))
        .with(ReLU)
        .with(MaxPool2d::new(2))
        .with(Flatten)
        .with(Linear::new(2));
    let config = Config::new(Loss::CrossEntropy, Sgd::new(0.1).momentum(0.9));
    // The best adapter of this machine, or the CPU reference if there is none.
    let device = Device::auto().await?;
    say!("{device}: {}", device.reason())?;
    let mut trainer = Trainer::new(&device, &model, &data, config).await?;
    for epoch in 1..=10 {
        let report = trainer.train_epoch(|_progress| {}).await?;
        say!("epoch {epoch}: loss {:.4}", report.loss)?;
    }
    let report = trainer.evaluate(Split::Test).await?;
    say!("test accuracy {:.4}", report.accuracy)
}

/// Images of 8×8 bytes, each with a bright row (class 0) or a bright column (class 1). All are
/// different, and the test images have other backgrounds than the training images.
fn bars(numbers: Range<usize>) -> Samples {
    let mut samples = Samples::default();
    for number in numbers {
        let (class, place, background) = (number % 2, number / 2 % 8, 2 * (number / 16));
        for pixel in 0..64 {
            let is_bar = place == [pixel / 8, pixel % 8][class];
            samples
                .images
                .push(if is_bar { 220 } else { background as u8 });
        }
        samples.labels.push(class as u8);
    }
    samples
}
