//! wgrad's side of the comparison with other frameworks in `benches/peers`: trains one of
//! the networks and prints one line of JSON.
#![deny(clippy::print_stdout, clippy::print_stderr)]

#[path = "../examples/common/mod.rs"]
mod common;
#[path = "common/mod.rs"]
mod workload;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use clap::Parser;
use common::{DeviceArgs, say};
use wgrad::{Config, Loss, Planning, Reduction, Result, Sgd, Trainer, data};
use workload::Model;

/// Number of runs; the median is reported.
const RUNS: usize = 3;

/// Train one of the networks of benches/peers, and print images per second.
#[derive(Debug, Parser)]
struct Args {
    /// The network
    #[arg(long, value_enum, default_value_t = Model::Tutorial)]
    model: Model,
    /// Steps of each of three runs, which also end with an epoch
    #[arg(long, value_name = "N", default_value_t = 1000)]
    steps: usize,
    #[command(flatten)]
    device: DeviceArgs,
    /// Run the readable plan
    #[arg(long)]
    unfused: bool,
    /// Folder of the four IDX files, plain or gzipped
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist"))]
    data: PathBuf,
}

fn main() -> std::process::ExitCode {
    let begun = Instant::now();
    common::run_with(async |args| run(&args, begun).await)
}

async fn run(args: &Args, begun: Instant) -> Result<()> {
    let folder = args.data.clone();
    let loading = thread::spawn(|| data::load_mnist(folder));
    let device = args.device.open().await?;
    let model = args.model.network(1);
    let mut config = match args.model {
        Model::Tutorial => config(Loss::Mse(Reduction::Mean), 0.01, 32),
        _ => config(Loss::CrossEntropy, 0.05, 64),
    };
    if args.unfused {
        config.planning = Planning::Unfused;
    }
    let batch = config.batch_size;
    let data = loading.join().expect("loading does not panic")?;
    let mut trainer = Trainer::new(&device, &*model, &data, config).await?;
    let mut first_step_s = None;
    trainer
        .train_until(|_| {
            first_step_s.get_or_insert_with(|| begun.elapsed().as_secs_f64());
            ControlFlow::Break(())
        })
        .await?;

    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let mut first = None;
        let mut enough = |samples: u64| {
            let seen = samples - *first.get_or_insert(samples);
            match seen < (args.steps * batch) as u64 {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        };
        let report = trainer
            .train_until(|progress| enough(progress.samples))
            .await?;
        runs.push(report.samples_per_second);
    }
    runs.sort_by(f64::total_cmp);
    let plan = trainer.plan();
    let result = serde_json::json!({
        "peer": "wgrad",
        "model": args.model.name(),
        "adapter": device.to_string(),
        "ips_median": runs[RUNS / 2],
        "ips": runs,
        "first_step_s": first_step_s,
        "dispatches": plan.nodes_of(&wgrad::plan::Phase::TRAIN).count(),
    });
    say!("RESULT {result}")
}

fn config(loss: Loss, learning_rate: f32, batch_size: usize) -> Config {
    Config::new(loss, Sgd::new(learning_rate)).batch_size(batch_size)
}
