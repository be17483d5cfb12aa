//! Measures training on each adapter of this machine against the adapter's ceilings: `cargo run
//! --release --example bench_adapters`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use wgrad::tune::Effort;
use wgrad::{Device, Error, Result};

mod ceilings;
mod chart;
#[path = "../../examples/common/mod.rs"]
mod common;
mod json;
mod markdown;
mod measure;
#[path = "../common/mod.rs"]
mod workload;

use ceilings::Ceilings;
use common::{Output, say};
use measure::{How, Training};

/// Measure training steps and their kernels on each adapter, beside the adapter's ceilings.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Part of an adapter's name or backend, or its number; may be repeated [default: every
    /// adapter]
    #[arg(long, value_name = "NAME")]
    adapter: Vec<String>,
    /// Measure the CPU reference too, which is made to be right and takes its time
    #[arg(long)]
    cpu: bool,
    /// Batch sizes
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [32, 64, 256, 1024],
        value_parser = clap::value_parser!(u32).range(1..))]
    batch: Vec<u32>,
    /// Width factors of the networks: of their convolutions' channels and their hidden layer
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [1],
        value_parser = clap::value_parser!(u16).range(1..=64))]
    width: Vec<u16>,
    /// How much to measure before choosing the kernels of the fused plan
    #[arg(long, value_enum, default_value_t = Tune::Quick)]
    tune: Tune,
    /// Run the readable plan
    #[arg(long, conflicts_with = "tune")]
    unfused: bool,
    /// Time for each measurement
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = seconds)]
    seconds: f64,
    /// Write every figure, as a JSON array of one object for each device
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw images per second against batch size
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tune {
    /// Nothing
    Off,
    /// For two seconds a plan
    Quick,
    /// Every kernel of every op
    Full,
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    let seconds = text.parse::<f64>().ok();
    let seconds = seconds.filter(|seconds| *seconds > 0.0 && *seconds <= 3600.0);
    seconds.ok_or_else(|| "expected seconds, above 0 and up to 3600".to_owned())
}

/// All measurements of one device.
#[derive(Debug)]
struct Measured {
    device: String,
    short_name: String,
    ceilings: Ceilings,
    runs: Vec<Run>,
}

/// One model with one batch size, or why it did not run.
#[derive(Debug)]
struct Run {
    model: &'static str,
    width: usize,
    batch: usize,
    training: Result<Training>,
}

impl Run {
    /// The model's name in reports.
    fn name(&self) -> String {
        match self.width {
            1 => self.model.to_owned(),
            width => format!("{} ×{width}", self.model),
        }
    }
}

fn main() -> ExitCode {
    common::run_with(async |args| run(&args).await)
}

async fn run(args: &Args) -> Result<()> {
    let outputs = [("--json", &args.json), ("--svg", &args.svg)].into_iter();
    let named: Vec<_> = outputs
        .filter_map(|(option, path)| Some((option, path.as_deref()?)))
        .collect();
    common::check_apart(&named)?;
    let mut json = args.json.as_deref().map(Output::open).transpose()?;
    let mut svg = args.svg.as_deref().map(Output::open).transpose()?;
    let mut measured = Vec::new();
    for device in &devices(args).await? {
        measured.push(measure_device(device, args).await?);
    }
    if let Some(output) = &mut json {
        let json = serde_json::Value::from_iter(measured.iter().map(json::of_device));
        output.replace(format!("{json:#}\n").as_bytes())?;
    }
    if let (Some(output), Some(path)) = (&mut svg, &args.svg) {
        let drawn = chart::svg(&measured);
        let failed = |message: String| Error::Io {
            path: path.clone(),
            source: io::Error::other(message),
        };
        let drawn = drawn.map_err(|error| failed(error.to_string()))?;
        let nothing = || failed("nothing ran, so nothing to draw".to_owned());
        output.replace(drawn.ok_or_else(nothing)?.as_bytes())?;
    }
    Ok(())
}

async fn devices(args: &Args) -> Result<Vec<Device>> {
    let mut devices = Vec::new();
    for name in &args.adapter {
        devices.push(Device::gpu(Some(name)).await?);
    }
    if args.adapter.is_empty() {
        match Device::all().await {
            Ok(all) => devices = all,
            Err(_) if args.cpu => {}
            Err(error) => return Err(error),
        }
    }
    if args.cpu {
        devices.push(Device::cpu());
    }
    Ok(devices)
}

/// Prints each figure as soon as it is measured.
async fn measure_device(device: &Device, args: &Args) -> Result<Measured> {
    say!("# {device}\n")?;
    let ceilings = ceilings::measure(device, args.seconds).await;
    say!("{}", markdown::ceilings(&ceilings))?;
    let effort = match args.tune {
        Tune::Off => Effort::Off,
        Tune::Quick => Effort::Quick,
        Tune::Full => Effort::Full,
    };
    let how = How {
        fused: (!args.unfused).then_some(effort),
        seconds: args.seconds,
    };
    match how.fused {
        Some(effort) => say!("Training steps of the fused plan, tuning {effort:?}:\n")?,
        None => say!("Training steps of the readable plan:\n")?,
    }
    say!("{}", markdown::training_head())?;
    let mut runs = Vec::new();
    let widths = args.width.iter();
    for model in widths.flat_map(|&width| workload::models(width.into())) {
        for &batch in &args.batch {
            let batch = batch as usize;
            let run = Run {
                model: model.name,
                width: model.width,
                batch,
                training: measure::training(device, &model, batch, how).await,
            };
            say!("{}", markdown::training(&run, &ceilings))?;
            runs.push(run);
        }
    }
    say!("")?;
    for run in &runs {
        if let Ok(training) = &run.training {
            let (model, batch) = (run.name(), run.batch);
            let clock = markdown::clock(training.clock);
            say!("## {model}, batch {batch}: kernels\n\nBy {clock}.\n")?;
            say!("{}", markdown::kernels(training))?;
        }
    }
    Ok(Measured {
        device: device.to_string(),
        short_name: device.adapter().map_or_else(
            || "CPU reference".to_owned(),
            |adapter| format!("{}, {}", adapter.name(), adapter.backend()),
        ),
        ceilings,
        runs,
    })
}
