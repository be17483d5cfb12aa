//! The tutorial's training loop on MNIST, on a GPU: `cargo run --release --example mnist_gpu`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cli;
mod common;

use cli::{Checkpoints, MetricsFile};
use common::say;
use wgrad::data::Dataset;
use wgrad::nn::{Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential};
use wgrad::{Config, Device, Error, Result, Sgd, Split, Trainer};

fn main() -> std::process::ExitCode {
    common::quiet_drivers();
    common::signals::keep_ignoring_hang_ups();
    match cli::Args::parse_all() {
        Ok(args) => common::exit(run(args)),
        Err(status) => status,
    }
}

/// Trains, and starts again after a lost device if requested.
fn run(mut args: cli::Args) -> Result<()> {
    args.check()?;
    let _folder = Checkpoints::lock(&args)?;
    let mut metrics = MetricsFile::open(args.metrics.as_deref(), args.resume)?;
    let checkpoints = Checkpoints::new(&args);
    let mut result = wgrad::block_on(train(&args, &checkpoints, &mut metrics));
    while checkpoints.continues_after(&result, &mut args)? {
        result = wgrad::block_on(train(&args, &checkpoints, &mut metrics));
    }
    result
}

async fn train(
    args: &cli::Args,
    checkpoints: &Checkpoints,
    metrics: &mut MetricsFile,
) -> Result<()> {
    let data = args.load_data()?;
    let resumed = args.resumed()?;
    let planning = args.planning(resumed.as_ref())?;
    let device = args.device().await?;
    say!("Device: {device} ({})", device.reason())?;

    let model = Sequential::new()
        .with(Conv2d::new(1, 4, 3))
        .with(ReLU)
        .with(MaxPool2d::new(2))
        .with(Flatten)
        .with(Linear::new(32))
        .with(ReLU)
        .with(Linear::new(10).in_features(32));
    let config = Config::new(args.loss()?, Sgd::new(args.lr))
        .batch_size(args.batch_size)
        .seed(args.seed)
        .shuffle(!args.no_shuffle)
        .planning(planning);
    let mut trainer = Trainer::new(&device, &model, &data, config).await?;
    cli::print_model(trainer.plan(), &data)?;
    checkpoints.begin(args, &mut trainer, resumed.as_ref())?;
    for notice in trainer.notices() {
        say!("Notice: {notice}")?;
    }

    let trained = epochs(args, checkpoints, metrics, &device, &data, &mut trainer).await;
    if let Ok(()) | Err(Error::Io { .. }) = trained {
        // A failure to print or write metrics must not lose the training.
        checkpoints.finish(args, &trainer).await?;
    }
    trained
}

async fn epochs(
    args: &cli::Args,
    checkpoints: &Checkpoints,
    metrics: &mut MetricsFile,
    device: &Device,
    data: &Dataset,
    trainer: &mut Trainer,
) -> Result<()> {
    while trainer.epochs() < args.epochs && !checkpoints.stop()? {
        let trained = checkpoints.train_epoch(trainer, args.epochs, data).await?;
        let Some(trained) = trained else { continue };
        let train = trainer.evaluate(Split::Train).await?;
        let test = trainer.evaluate(Split::Test).await?;
        let epoch = trainer.epochs();
        metrics.write(device, epoch, &trained, [&train, &test])?;
        say!(
            "Epoch {epoch} Summary: Train Acc={:.4}, Train Loss={:.4}, Test Acc={:.4}, Test Loss={:.4}",
            train.accuracy,
            train.loss,
            test.accuracy,
            test.loss
        )?;
        checkpoints.check(&format!("epoch {epoch}, evaluated"), &train)?;
        checkpoints.check(&format!("epoch {epoch}, evaluated"), &test)?;
    }
    Ok(())
}
