//! Trains a recipe for a data set, and reports the accuracy on the test set after each epoch:
//! `cargo run --release --features pictures --example accuracy -- mnist --data data/mnist`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

#[path = "../common/mod.rs"]
mod common;
mod mirrored;
mod recipe;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use common::{DeviceArgs, Output, say};
use recipe::{BATCH, Recipe};
use wgrad::{EpochReport, Result, Split, Trainer};

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

fn main() -> ExitCode {
    common::run_with(run)
}

async fn run(args: Args) -> Result<()> {
    let mut log = Log::open(&args)?;
    let device = args.device.open().await?;
    say!("{device}: {}", device.reason())?;
    let (recipe, epochs) = (args.recipe, args.epochs.unwrap_or(args.recipe.epochs()));
    let (mut epoch, mut weights) = (0, None);
    for stage in recipe.stages(epochs) {
        let data = recipe.data(&args.data, stage.size)?;
        let per_epoch = data.train.len().div_ceil(BATCH) as u64;
        let steps = [epoch, stage.epochs, epochs].map(|epochs| epochs * per_epoch);
        let config = recipe.config(args.seed, steps);
        let mut trainer = Trainer::new(&device, &recipe.model(), &data, config).await?;
        if let Some(weights) = &weights {
            trainer.load_parameters(weights)?;
        }
        let parameters = trainer.plan().parameters();
        let parameters: usize = parameters.map(|(_, tensor)| tensor.words()).sum();
        say!("{parameters} parameters, images of {}", data.sample)?;
        for _ in 0..stage.epochs {
            epoch += 1;
            let bar = common::progress_bar(format!("Epoch {epoch}/{epochs}"), data.train.len());
            let trained =
                trainer.train_epoch(|progress| common::advance(&bar, progress, epochs - epoch));
            let trained = trained.await;
            bar.finish_and_clear();
            let trained = trained?;
            let test = trainer.averaged().await?.evaluate(Split::Test).await?;
            log.epoch(epoch, &trained, &test)?;
        }
        let checkpoint = trainer.checkpoint().await?;
        if epoch == epochs && recipe.is_symmetric() {
            let accuracy = mirrored::accuracy(&device, &checkpoint.averaged()?, &data).await?;
            let percent = 100.0 * accuracy;
            say!("accuracy {percent:.2} % by the mean of each image and its mirror image")?;
        }
        weights = Some(checkpoint);
    }
    Ok(())
}

/// What is written after each epoch: a line, and the file of metrics.
struct Log<'a> {
    args: &'a Args,
    metrics: Option<Output>,
    lines: String,
    begun: Instant,
}

impl<'a> Log<'a> {
    fn open(args: &'a Args) -> Result<Self> {
        Ok(Log {
            args,
            metrics: args.metrics.as_deref().map(Output::open).transpose()?,
            lines: String::new(),
            begun: Instant::now(),
        })
    }

    fn epoch(&mut self, epoch: u64, trained: &EpochReport, test: &EpochReport) -> Result<()> {
        let seconds = self.begun.elapsed().as_secs_f64();
        say!(
            "epoch {epoch}: train loss {:.4}, accuracy {:.2} %; test loss {:.4}, accuracy \
             {:.2} %; {seconds:.0} s, {:.0} images/s",
            trained.loss,
            100.0 * trained.accuracy,
            test.loss,
            100.0 * test.accuracy,
            trained.samples_per_second
        )?;
        let Some(metrics) = &mut self.metrics else {
            return Ok(());
        };
        let line = serde_json::json!({
            "recipe": self.args.recipe.to_string(),
            "seed": self.args.seed,
            "epoch": epoch,
            "train_loss": trained.loss,
            "train_accuracy": trained.accuracy,
            "test_loss": test.loss,
            "test_accuracy": test.accuracy,
            "seconds": seconds,
        });
        self.lines += &format!("{line}\n");
        metrics.replace(self.lines.as_bytes())
    }
}
