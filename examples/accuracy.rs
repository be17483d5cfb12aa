//! Trains a recipe for a data set, and reports the accuracy on the test set after each epoch:
//! `cargo run --release --features pictures --example accuracy -- mnist --data data/mnist`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod common;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use common::{DeviceArgs, Output, say};
use wgrad::data::{Dataset, IdxOptions, PictureOptions, load_idx, load_pictures};
use wgrad::nn::Normalize;
use wgrad::nn::models::ResNet;
use wgrad::{
    Augmentation, Config, CrossEntropy, EpochReport, Result, Schedule, Sgd, Split, Trainer,
};

/// Train a network for a data set, for a high accuracy on its test set.
#[derive(Debug, Parser)]
struct Args {
    /// The data set, and with it the network and its training
    #[arg(value_enum)]
    recipe: Recipe,
    /// Folder of the data set: four IDX files, or folders of pictures by class
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Seed of the initial weights, the order of the images and their random changes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Passes over the training set [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    epochs: Option<u64>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Write one JSON object per epoch, each on a line
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Recipe {
    /// Digits, in IDX files
    Mnist,
    /// Clothes, in IDX files
    Fashion,
    /// Pictures in folders by class
    Cifar10,
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.to_possible_value();
        f.write_str(name.as_ref().map_or("", |name| name.get_name()))
    }
}

impl Recipe {
    fn data(self, folder: &Path) -> Result<Dataset> {
        match self {
            Recipe::Mnist | Recipe::Fashion => load_idx(folder, &IdxOptions::default()),
            Recipe::Cifar10 => {
                let bar = common::progress_bar("Pictures", 0);
                let pictures = load_pictures(folder, &PictureOptions::new(), |done, total| {
                    bar.set_length(total as u64);
                    bar.set_position(done as u64);
                });
                bar.finish_and_clear();
                Ok(pictures?.dataset)
            }
        }
    }

    /// ResNet-8: 77,754 parameters for one channel, 78,042 for three.
    fn model(self) -> ResNet {
        match self {
            Recipe::Mnist | Recipe::Fashion => ResNet::eight(1, 10),
            Recipe::Cifar10 => ResNet::eight(3, 10),
        }
    }

    fn epochs(self) -> u64 {
        match self {
            Recipe::Mnist => 10,
            Recipe::Fashion => 20,
            Recipe::Cifar10 => 40,
        }
    }

    fn augmentation(self) -> Augmentation {
        let changes = Augmentation::new();
        match self {
            Recipe::Mnist => changes.shift(2).rotation(10.0).scale(0.9, 1.1),
            Recipe::Fashion | Recipe::Cifar10 => changes.crop(2).flip(),
        }
    }

    /// Means and deviations of the training set, by channel.
    fn normalize(self) -> Normalize {
        match self {
            Recipe::Mnist => Normalize::new([0.1307], [0.3081]),
            Recipe::Fashion => Normalize::new([0.2860], [0.3530]),
            Recipe::Cifar10 => Normalize::new([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
        }
    }

    /// Stochastic gradient descent with Nesterov's momentum, a learning rate that rises for 0.15 of
    /// the steps and falls to zero, and the moving average of the weights, which is what is
    /// evaluated.
    fn config(self, seed: u64, steps: u64, batch: usize) -> Config {
        let sgd = Sgd::new(0.1).momentum(0.9).nesterov();
        let sgd = sgd.weight_decay(1.5e-4).decay_weights_only();
        Config::new(CrossEntropy::new(), sgd)
            .schedule(Schedule::polynomial(steps, 1.0).warm_up(3 * steps / 20))
            .averaging(0.998)
            .augmentation(self.augmentation())
            .normalization(self.normalize())
            .batch_size(batch)
            .seed(seed)
    }
}

fn main() -> ExitCode {
    common::run_with(run)
}

async fn run(args: Args) -> Result<()> {
    let mut metrics = args.metrics.as_deref().map(Output::open).transpose()?;
    let device = args.device.open().await?;
    let data = args.recipe.data(&args.data)?;
    say!("{device}: {}", device.reason())?;
    let (epochs, batch) = (args.epochs.unwrap_or(args.recipe.epochs()), 64);
    let steps = epochs * (data.train.len().div_ceil(batch)) as u64;
    let config = args.recipe.config(args.seed, steps, batch);
    let mut trainer = Trainer::new(&device, &args.recipe.model(), &data, config).await?;
    let parameters = trainer.plan().parameters();
    let parameters: usize = parameters.map(|(_, tensor)| tensor.words()).sum();
    say!("{parameters} parameters")?;
    let (begun, mut lines) = (Instant::now(), String::new());
    for epoch in 1..=epochs {
        let bar = common::progress_bar(format!("Epoch {epoch}/{epochs}"), data.train.len());
        let trained = trainer.train_epoch(|progress| common::advance(&bar, progress));
        let trained = trained.await;
        bar.finish_and_clear();
        let trained = trained?;
        let test = trainer.averaged().await?.evaluate(Split::Test).await?;
        let seconds = begun.elapsed().as_secs_f64();
        say!("{}", line(epoch, &trained, &test, seconds))?;
        if let Some(metrics) = &mut metrics {
            lines += &format!("{}\n", json(&args, epoch, &trained, &test, seconds));
            metrics.replace(lines.as_bytes())?;
        }
    }
    Ok(())
}

fn json(
    args: &Args,
    epoch: u64,
    trained: &EpochReport,
    test: &EpochReport,
    seconds: f64,
) -> serde_json::Value {
    serde_json::json!({
        "recipe": args.recipe.to_string(),
        "seed": args.seed,
        "epoch": epoch,
        "train_loss": trained.loss,
        "train_accuracy": trained.accuracy,
        "test_loss": test.loss,
        "test_accuracy": test.accuracy,
        "seconds": seconds,
    })
}

fn line(epoch: u64, trained: &EpochReport, test: &EpochReport, seconds: f64) -> String {
    let percent = |report: &EpochReport| 100.0 * report.accuracy;
    format!(
        "epoch {epoch}: train loss {:.4}, accuracy {:.2} %; test loss {:.4}, accuracy {:.2} %; \
         {seconds:.0} s, {:.0} images/s",
        trained.loss,
        percent(trained),
        test.loss,
        percent(test),
        trained.samples_per_second
    )
}
