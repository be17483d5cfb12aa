//! `wgrad verify`.

mod dump;
pub mod json;
#[cfg(feature = "model-files")]
mod one_model;

use std::path::PathBuf;

use wgrad::verify::{self, Options};
use wgrad::{Device, Result};

use crate::common::{Output, complain, say};

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Part of an adapter's name or backend, or its index [default: every adapter]
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Verify every op of one model alone: a built-in one, or a TOML file
    #[cfg(feature = "model-files")]
    #[arg(long, value_name = "NAME or FILE")]
    model: Option<String>,
    /// Draws sizes, inputs and parameters
    #[arg(long, default_value_t = Options::default().seed)]
    seed: u64,
    /// More rounds, steps and networks, which take minutes on a software adapter
    #[arg(long)]
    thorough: bool,
    /// Random cases of each op [default: 2, thorough: 12]
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// Steps of the free-running trajectories [default: 10, thorough: 100]
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Random networks of large sizes, checked by single elements, and as many of many layers,
    /// checked op by op [default: 2, thorough: 4]
    #[arg(long, value_name = "N")]
    networks: Option<usize>,
    /// Least layers of the latter [default: 10, thorough: 20]
    #[arg(long, value_name = "N")]
    layers: Option<usize>,
    /// Write every figure, as a JSON array of one object for each adapter
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only write the random cases of each op, as safetensors, for another program to compute
    #[arg(long, value_name = "FILE", conflicts_with_all = ["adapter", "steps", "json"])]
    dump: Option<PathBuf>,
}

impl Args {
    fn options(&self) -> Options {
        let default = match self.thorough {
            true => Options::thorough(),
            false => Options::default(),
        };
        Options {
            seed: self.seed,
            rounds: self.rounds.unwrap_or(default.rounds),
            steps: self.steps.unwrap_or(default.steps),
            networks: self.networks.unwrap_or(default.networks),
            layers: self.layers.unwrap_or(default.layers),
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  wgrad verify
  wgrad verify --adapter 0 --thorough --json report.json
  wgrad verify --model my_model.toml";

/// Returns whether every result on every adapter is right.
///
/// # Errors
/// There is no adapter, or a file cannot be written.
pub async fn run(args: &Args) -> Result<bool> {
    let options = args.options();
    if let Some(path) = &args.dump {
        let mut output = Output::open(path)?;
        output.replace(&dump::file(options.seed, options.rounds))?;
        return Ok(true);
    }
    let mut json = args.json.as_deref().map(Output::open).transpose()?;
    let devices = match &args.adapter {
        Some(name) => vec![Device::gpu(Some(name)).await?],
        None => Device::all().await?,
    };
    #[cfg(feature = "model-files")]
    if let Some(model) = &args.model {
        let reports = one_model::verify(model, &devices, &options).await?;
        if let Some(output) = &mut json {
            output.replace(format!("{:#}\n", one_model::json(&reports)).as_bytes())?;
        }
        return Ok(reports.iter().all(one_model::Verified::passes));
    }
    let mut reports = Vec::new();
    let mut failed = false;
    for device in devices {
        match verify::adapter(&device, &options).await {
            Ok(report) => {
                say!("{report}\n")?;
                reports.push(report);
            }
            Err(error) => {
                complain(format_args!("error: {device}: {error}"));
                failed = true;
            }
        }
    }
    let thorough = Options::thorough();
    if !reports.is_empty() && options.rounds < thorough.rounds {
        let Options {
            rounds,
            steps,
            networks,
            layers,
            ..
        } = options;
        say!(
            "These were {rounds} random cases of each op, {steps} steps of training, {networks} random networks \
             of large sizes and as many of {layers} layers; --thorough makes it {}, {}, {} and {}.",
            thorough.rounds,
            thorough.steps,
            thorough.networks,
            thorough.layers
        )?;
    }
    if let Some(output) = &mut json {
        let json = serde_json::Value::from_iter(reports.iter().map(json::of_report));
        output.replace(format!("{json:#}\n").as_bytes())?;
    }
    Ok(!failed && reports.iter().all(verify::Report::passes))
}
