//! The tutorial's training loop on MNIST, on a GPU: `cargo run --release --example mnist_gpu`.

mod cli;
mod common;

use wgrad::nn::{Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential};
use wgrad::{Config, Result, Sgd, Split, Trainer};

fn main() -> std::process::ExitCode {
    common::quiet_drivers();
    let mut args: cli::Args = match common::parse() {
        Ok(args) => args,
        Err(status) => return status,
    };
    let mut result = wgrad::block_on(run(&args));
    while args.goes_on_after(&result) {
        result = wgrad::block_on(run(&args));
    }
    common::exit(result)
}

async fn run(args: &cli::Args) -> Result<()> {
    let _folder = cli::Checkpoints::lock(args)?;
    let device = args.device().await?;
    println!("Device: {device} ({})", device.reason());

    let data = args.load_data()?;
    let model = Sequential::new()
        .with(Conv2d::new(1, 4, 3))
        .with(ReLU)
        .with(MaxPool2d::new(2))
        .with(Flatten)
        .with(Linear::new(32))
        .with(ReLU)
        .with(Linear::new(10).in_features(32));
    let config = Config {
        loss: args.loss()?,
        optimizer: Sgd::new(args.lr),
        batch_size: args.batch_size,
        seed: args.seed,
        shuffle: !args.no_shuffle,
        planning: args.planning()?,
    };
    let mut metrics = cli::MetricsFile::open(args.metrics.as_deref(), args.resume, &device)?;
    let mut trainer = Trainer::new(&device, &model, &data, config).await?;
    for notice in trainer.notices() {
        println!("Notice: {notice}");
    }
    cli::print_model(trainer.plan(), &data);

    let checkpoints = cli::Checkpoints::begin(args, &mut trainer)?;
    while trainer.epochs() < args.epochs && !checkpoints.stop() {
        let trained = checkpoints
            .train_epoch(&mut trainer, args.epochs, &data)
            .await?;
        let Some(trained) = trained else { continue };
        let train = trainer.evaluate(Split::Train).await?;
        let test = trainer.evaluate(Split::Test).await?;
        let epoch = trainer.epochs();
        println!(
            "Epoch {epoch} Summary: Train Acc={:.4}, Train Loss={:.4}, Test Acc={:.4}, Test Loss={:.4}",
            train.accuracy, train.loss, test.accuracy, test.loss
        );
        metrics.write(epoch, &trained, &train, &test)?;
    }
    checkpoints.finish(args, &trainer).await
}
