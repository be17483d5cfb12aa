//! Draws the test accuracies that `accuracy --metrics` wrote, as SVG:
//! `cargo run --release --example curves -- mnist-1.jsonl mnist-2.jsonl --output mnist.svg`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use common::{OkabeIto, Output, say};
use plotters::prelude::*;
use serde_json::Value;
use wgrad::{Error, Result};

const SIZE: (u32, u32) = (800, 480);

/// Draw test accuracy against epochs, a line for each file.
#[derive(Debug, Parser)]
struct Args {
    /// Files that `accuracy --metrics` wrote
    #[arg(required = true, value_name = "FILE")]
    metrics: Vec<PathBuf>,
    /// The picture to write
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

/// A run: its label, and the error in percent after each epoch.
struct Run {
    label: String,
    errors: Vec<(f64, f64)>,
}

fn main() -> ExitCode {
    common::run_with(run)
}

async fn run(args: Args) -> Result<()> {
    let mut output = Output::open(&args.output)?;
    let runs = args.metrics.iter().map(|path| read(path));
    let picture = draw(&runs.collect::<Result<Vec<Run>>>()?);
    let picture =
        picture.map_err(|error| Error::value("the picture", "one that can be drawn", error))?;
    output.replace(picture.as_bytes())?;
    say!("wrote {}", args.output.display())
}

fn read(path: &Path) -> Result<Run> {
    let text = fs::read_to_string(path).map_err(|source| Error::Io {
        path: path.to_owned(),
        source,
    })?;
    let mut run = Run {
        label: String::new(),
        errors: Vec::new(),
    };
    for (number, line) in text.lines().enumerate() {
        let epoch = epoch(line).ok_or_else(|| Error::Data {
            path: path.to_owned(),
            expected: "an epoch of `accuracy --metrics` on each line".to_owned(),
            got: format!("line {}: {line}", number + 1),
        })?;
        run.label = epoch.0;
        run.errors.push(epoch.1);
    }
    Ok(run)
}

/// The run's label, and its epoch and error.
fn epoch(line: &str) -> Option<(String, (f64, f64))> {
    let line: Value = serde_json::from_str(line).ok()?;
    let (recipe, seed) = (line["recipe"].as_str()?, line["seed"].as_u64()?);
    let (epoch, accuracy) = (line["epoch"].as_f64()?, line["test_accuracy"].as_f64()?);
    Some((
        format!("{recipe}, seed {seed}"),
        (epoch, 100.0 * (1.0 - accuracy)),
    ))
}

fn draw(runs: &[Run]) -> std::result::Result<String, Box<dyn std::error::Error>> {
    let points = || runs.iter().flat_map(|run| &run.errors);
    let last = points().map(|point| point.0).fold(1.0, f64::max);
    let least = points().map(|point| point.1).fold(100.0, f64::min);
    let most = points().map(|point| point.1).fold(least, f64::max);
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        // Powers of two: a range of errors may hold no power of ten.
        let errors = (least.max(0.01) / 1.2..most.max(0.02) * 1.2)
            .log_scale()
            .base(2.0);
        let mut chart = ChartBuilder::on(&area)
            .caption("Error on the test set", ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..last + 1.0, errors)?;
        chart
            .configure_mesh()
            .max_light_lines(0)
            .x_desc("epoch")
            .y_desc("wrong answers, %")
            .x_label_formatter(&|epoch| format!("{epoch:.0}"))
            .y_label_formatter(&|error| format!("{error}"))
            .draw()?;
        for (i, run) in runs.iter().enumerate() {
            let color = OkabeIto::pick(i).to_rgba();
            let line = LineSeries::new(run.errors.iter().copied(), color.stroke_width(2));
            chart
                .draw_series(line)?
                .label(&run.label)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2))
                });
        }
        chart
            .configure_series_labels()
            .background_style(WHITE)
            .border_style(BLACK.mix(0.3))
            .draw()?;
        area.present()?;
    }
    Ok(text)
}
