//! `wgrad bench`.

mod ceilings;
mod chart;
mod json;
mod markdown;
mod measure;
mod products;
#[path = "../../../../benches/common/mod.rs"]
mod workload;

use std::io;
use std::path::PathBuf;

use clap::ValueEnum;
use wgrad::tune::Effort;
use wgrad::{Device, Error, Result};

use crate::common::{self, Output, say};
use ceilings::Ceilings;
use measure::{How, Training};
use products::{Extents, Timed};
use workload::Model;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Part of an adapter's name or backend, or its number; may be repeated [default: every
    /// adapter]
    #[arg(long, value_name = "NAME")]
    adapter: Vec<String>,
    /// Measure the CPU reference too
    #[arg(long)]
    cpu: bool,
    /// Networks
    #[arg(long, value_enum, value_name = "NAME,NAME", value_delimiter = ',',
        default_values_t = [Model::Tutorial, Model::Larger])]
    models: Vec<Model>,
    /// Batch sizes
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [32, 64, 256, 1024],
        value_parser = clap::value_parser!(u32).range(1..))]
    batch: Vec<u32>,
    /// Width factors of the networks `tutorial` and `larger`: of their convolutions' channels and
    /// their hidden layer
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [1],
        value_parser = clap::value_parser!(u16).range(1..=64))]
    width: Vec<u16>,
    /// Products of matrices, each kernel of which is timed alone: a size, or rows, columns and terms
    #[arg(long, value_name = "N,MxNxK", value_delimiter = ',')]
    products: Vec<Extents>,
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

const EXAMPLES: &str = "\
Examples:
  wgrad bench --cpu --svg adapters.svg
  wgrad bench --adapter vulkan --models resnet8,resnet20 --batch 64 --json figures.json
  wgrad bench --adapter 0 --batch 64 --products 1024,64x128x3136";

fn seconds(text: &str) -> std::result::Result<f64, String> {
    let seconds = text.parse::<f64>().ok();
    let seconds = seconds.filter(|seconds| *seconds > 0.0 && *seconds <= 3600.0);
    seconds.ok_or_else(|| "expected seconds, above 0 and up to 3600".to_owned())
}

impl Args {
    /// Figures of three networks with batches of 64, on one adapter or on each, in `seconds` each.
    #[allow(dead_code, reason = "the example has no report")]
    pub fn brief(adapter: Option<&str>, seconds: f64) -> Self {
        Args {
            adapter: adapter.into_iter().map(str::to_owned).collect(),
            cpu: true,
            models: vec![Model::Tutorial, Model::Larger, Model::Resnet8],
            batch: vec![64],
            width: vec![1],
            products: Vec::new(),
            tune: Tune::Quick,
            unfused: false,
            seconds,
            json: None,
            svg: None,
        }
    }

    fn effort(&self) -> Effort {
        match self.tune {
            Tune::Off => Effort::Off,
            Tune::Quick => Effort::Quick,
            Tune::Full => Effort::Full,
        }
    }
}

/// All measurements of one device.
#[derive(Debug)]
pub struct Measured {
    device: String,
    short_name: String,
    ceilings: Ceilings,
    runs: Vec<Run>,
    products: Vec<Timed>,
}

/// One model with one batch size, or why it did not run.
#[derive(Debug)]
struct Run {
    model: Model,
    width: usize,
    batch: usize,
    training: Result<Training>,
}

impl Run {
    /// The model's name in reports.
    fn name(&self) -> String {
        match self.width {
            1 => self.model.name().to_owned(),
            width => format!("{} ×{width}", self.model.name()),
        }
    }
}

/// # Errors
/// There is no adapter, or a file cannot be written.
pub async fn run(args: &Args) -> Result<()> {
    let outputs = [("--json", &args.json), ("--svg", &args.svg)].into_iter();
    let named: Vec<_> = outputs
        .filter_map(|(option, path)| Some((option, path.as_deref()?)))
        .collect();
    common::check_apart(&named)?;
    let mut json = args.json.as_deref().map(Output::open).transpose()?;
    let mut svg = args.svg.as_deref().map(Output::open).transpose()?;
    let measured = measure(args, &mut |text| say!("{text}")).await?;
    if let Some(output) = &mut json {
        output.replace(format!("{:#}\n", of_devices(&measured)).as_bytes())?;
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

/// Every figure, as JSON.
pub fn of_devices(measured: &[Measured]) -> serde_json::Value {
    serde_json::Value::from_iter(measured.iter().map(json::of_device))
}

/// Measures all devices; `print` gets Markdown, line by line, as soon as it is measured.
///
/// # Errors
/// There is no adapter, or printing fails.
pub async fn measure(
    args: &Args,
    print: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<Vec<Measured>> {
    let mut measured = Vec::new();
    for device in &devices(args).await? {
        measured.push(measure_device(device, args, print).await?);
    }
    Ok(measured)
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

async fn measure_device(
    device: &Device,
    args: &Args,
    print: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<Measured> {
    print(&format!("# {device}\n"))?;
    let ceilings = ceilings::measure(device, args.seconds).await;
    print(&markdown::ceilings(&ceilings))?;
    let how = How {
        fused: (!args.unfused).then_some(args.effort()),
        seconds: args.seconds,
    };
    print(&match how.fused {
        Some(effort) => format!("Training steps of the fused plan, tuning {effort:?}:\n"),
        None => "Training steps of the readable plan:\n".to_owned(),
    })?;
    print(markdown::training_head())?;
    let mut runs = Vec::new();
    for (model, width) in wide(args) {
        for &batch in &args.batch {
            let batch = batch as usize;
            let run = Run {
                model,
                width,
                batch,
                training: measure::training(device, model, width, batch, how, ceilings.figures())
                    .await,
            };
            print(&markdown::training(&run, &ceilings))?;
            runs.push(run);
        }
    }
    print("")?;
    for run in &runs {
        if let Ok(training) = &run.training {
            let (model, batch) = (run.name(), run.batch);
            let clock = markdown::clock(training.clock);
            print(&format!(
                "## {model}, batch {batch}: kernels\n\nBy {clock}.\n"
            ))?;
            print(&markdown::kernels(training))?;
        }
    }
    let mut products = Vec::new();
    for &extents in &args.products {
        let timed = products::measure(device, extents, args.seconds).await;
        print(&markdown::product(&timed, &ceilings))?;
        products.push(timed);
    }
    Ok(Measured {
        device: device.to_string(),
        short_name: device.adapter().map_or_else(
            || "CPU reference".to_owned(),
            |adapter| format!("{}, {}", adapter.name(), adapter.backend()),
        ),
        ceilings,
        runs,
        products,
    })
}

/// The models with their widths; those of one width come first.
fn wide(args: &Args) -> Vec<(Model, usize)> {
    let first = args.width.first().copied();
    let all = args.width.iter().flat_map(|&width| {
        let models = args.models.iter().copied();
        let models = models.filter(move |model| model.has_widths() || Some(width) == first);
        models.map(move |model| (model, if model.has_widths() { width.into() } else { 1 }))
    });
    all.collect()
}
