//! The parts of `mnist_gpu` besides the training loop: flags, tables, files.

mod checkpoints;
mod options;

use std::path::{Path, PathBuf};

pub use checkpoints::Checkpoints;
use clap::{Parser, ValueEnum};
use wgrad::data::{CLASSES, Dataset, IdxOptions, load_idx};
use wgrad::plan::Plan;
use wgrad::{Device, EpochReport, Error, Loss, Reduction, Result};

use crate::common::{self, Output, say};

/// Train the tutorial's CNN on MNIST with WGSL compute shaders.
#[derive(Debug, Parser)]
#[command(version, allow_negative_numbers = true)]
pub struct Args {
    /// The device: the best adapter or else the CPU reference, an adapter, the CPU reference
    #[arg(long, value_enum, default_value_t = Where::Auto)]
    pub device: Where,
    /// Part of an adapter's name or backend, or its number in the list of all; implies --device gpu
    #[arg(long, value_name = "NAME")]
    pub adapter: Option<String>,
    /// The loss to minimise
    #[arg(long, value_enum, default_value_t = LossName::Mse)]
    pub loss: LossName,
    /// The reduction of MSE: the mean over batch and classes, or the sum over classes and the mean
    /// over the batch, the tutorial's update [default: batch-mean]
    #[arg(long, value_enum)]
    pub reduction: Option<ReductionName>,
    /// Learning rate of SGD; with --resume the checkpoint's, unless given
    #[arg(long, default_value_t = 0.01, value_parser = rate)]
    pub lr: f32,
    /// Images per batch
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = at_least_one)]
    pub batch_size: usize,
    /// Passes over the training set
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = whole)]
    pub epochs: u64,
    /// Seed of the initial weights and the order of the images
    #[arg(long, default_value_t = 1, value_parser = whole)]
    pub seed: u64,
    /// Train on the first N images only
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub train_images: Option<usize>,
    /// Fused ops, or the readable im2col, GEMM, col2im, one op each; with --resume the
    /// checkpoint's, unless given
    #[arg(long, value_enum, default_value_t = PlanName::Fused)]
    pub plan: PlanName,
    /// How long to search for the fastest kernels: not at all, two seconds, until all are measured;
    /// with --resume the checkpoint's kernels, unless given
    #[arg(long, value_enum, default_value_t = EffortName::Quick)]
    pub tune: EffortName,
    /// Run kernels without checking each at its size before it first runs at that size
    #[arg(long)]
    pub no_spot_checks: bool,
    /// Visit the images in the order in which they are stored
    #[arg(long)]
    pub no_shuffle: bool,
    /// Folder of the four IDX files, plain or gzipped
    #[arg(long, value_name = "DIR", default_value = bundled_data())]
    pub data: PathBuf,
    /// Prefix of the data files' names, if the folder has several sets: emnist-letters
    #[arg(long, value_name = "NAME")]
    pub data_prefix: Option<String>,
    /// Images are stored transposed, as EMNIST's are
    #[arg(long)]
    pub transposed: bool,
    /// Write one JSON object per epoch, each on a line
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,
    /// Keep a checkpoint in DIR: written after each epoch, on Ctrl-C, SIGTERM or SIGHUP, and every
    /// --checkpoint-seconds
    #[arg(long, value_name = "DIR")]
    pub checkpoint: Option<PathBuf>,
    /// Seconds between checkpoints within an epoch
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = seconds,
        requires = "checkpoint")]
    pub checkpoint_seconds: f64,
    /// Continue from the checkpoint in DIR, if there is one
    #[arg(long)]
    pub resume: bool,
    /// After a driver reset, continue from the checkpoint on a new device
    #[arg(long, requires = "checkpoint")]
    pub recover: bool,
    /// Begin with the weights of a safetensors file: a checkpoint, or PyTorch's state_dict
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub init: Option<PathBuf>,
    /// Write the trained weights to a safetensors file that PyTorch reads too
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// After a loss or a weight that is infinite or NaN: stop with an error, or continue; such
    /// weights are never saved, so that the last checkpoint stays
    #[arg(long, value_enum, default_value_t = OnNan::Stop)]
    pub on_nan: OnNan,
    /// The names of the options given on the command line, excluding defaults.
    #[arg(skip)]
    typed: Vec<String>,
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..1e9).contains(&seconds) => Ok(seconds),
        _ => Err("expected a number of seconds from 0 to 1e9".to_owned()),
    }
}

fn rate(text: &str) -> std::result::Result<f32, String> {
    // What is too small for f32 would silently be zero.
    let digits = text.split(['e', 'E']).next().unwrap_or_default();
    let is_lost = |rate: f32| rate == 0.0 && digits.contains(|c| ('1'..='9').contains(&c));
    match text.parse::<f32>() {
        Ok(rate) if rate.is_finite() && rate >= 0.0 && !is_lost(rate) => Ok(rate),
        Ok(rate) if is_lost(rate) => {
            Err(format!("expected 0, or at least {:e}", f32::MIN_POSITIVE))
        }
        _ => Err(format!("expected a number from 0 to {:e}", f32::MAX)),
    }
}

fn at_least_one(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("expected a whole number from 1 to {}", usize::MAX)),
    }
}

fn whole(text: &str) -> std::result::Result<u64, String> {
    let expected = || format!("expected a whole number from 0 to {}", u64::MAX);
    text.parse().map_err(|_| expected())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Where {
    Auto,
    Gpu,
    Cpu,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LossName {
    Mse,
    CrossEntropy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanName {
    Fused,
    Unfused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EffortName {
    Off,
    Quick,
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReductionName {
    Mean,
    BatchMean,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnNan {
    Stop,
    Continue,
}

/// `data/mnist` of the source tree, whatever the working directory.
fn bundled_data() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist")
}

impl Args {
    /// Parses the command line, or returns the exit status.
    pub fn parse_all() -> std::result::Result<Self, std::process::ExitCode> {
        let (mut args, typed): (Args, _) = common::parse_typed()?;
        args.typed = typed;
        Ok(args)
    }

    pub async fn device(&self) -> Result<Device> {
        let device = match (self.device, &self.adapter) {
            (Where::Auto, None) => Device::auto().await,
            (Where::Auto | Where::Gpu, name) => Device::gpu(name.as_deref()).await,
            (Where::Cpu, None) => Ok(Device::cpu()),
            (Where::Cpu, Some(name)) => {
                Err(Error::value("--adapter", "no --device cpu beside it", name))
            }
        }?;
        Ok(match self.no_spot_checks {
            true => device.without_spot_checks(),
            false => device,
        })
    }

    pub fn loss(&self) -> Result<Loss> {
        match (self.loss, self.reduction) {
            (LossName::Mse, Some(ReductionName::Mean)) => Ok(Loss::Mse(Reduction::Mean)),
            (LossName::Mse, _) => Ok(Loss::Mse(Reduction::BatchMean)),
            (LossName::CrossEntropy, None) => Ok(Loss::CrossEntropy),
            (LossName::CrossEntropy, Some(_)) => Err(Error::value(
                "--reduction",
                "--loss mse beside it",
                "--loss cross-entropy",
            )),
        }
    }

    /// Loads the data set at `--data`, of IDX files of any size.
    pub fn load_data(&self) -> Result<Dataset> {
        let options = IdxOptions {
            prefix: self.data_prefix.clone(),
            transposed: self.transposed,
            classes: Some(CLASSES),
            ..IdxOptions::default()
        };
        let data = load_idx(&self.data, &options).map_err(say_where_data_goes)?;
        if data.test.is_empty() {
            return Err(Error::value("test set", "at least 1 sample", 0));
        }
        self.truncate(data)
    }

    fn truncate(&self, data: Dataset) -> Result<Dataset> {
        match self.train_images {
            Some(count) => data.with_train_len(count),
            None => Ok(data),
        }
    }
}

/// Published crates do not include the data: the error then says where to put them.
fn say_where_data_goes(error: Error) -> Error {
    match error {
        Error::Data {
            path,
            expected,
            got,
        } if got == "neither" => Error::Data {
            path,
            expected: format!(
                "{expected}, the MNIST files (put them there or name their folder with --data)"
            ),
            got,
        },
        other => other,
    }
}

pub fn print_model(plan: &Plan, data: &Dataset) -> Result<()> {
    say!(
        "Data: {} training and {} test images of {}",
        data.train.len(),
        data.test.len(),
        data.sample
    )?;
    say!(
        "{:<12} {:<32} {:>18} {:>11}",
        "layer",
        "",
        "output",
        "parameters"
    )?;
    let mut total = 0;
    for layer in plan.layers() {
        let output = layer.output.to_string();
        say!(
            "{:<12} {:<32} {output:>18} {:>11}",
            layer.name,
            layer.layer,
            layer.parameters
        )?;
        total += layer.parameters;
    }
    say!("{:<12} {:<32} {:>18} {total:>11}", "total", "", "")
}

/// The file of `--metrics`, if given.
pub struct MetricsFile {
    output: Option<Output>,
    /// Whether the file's content is from another run, to be cleared at the first write.
    is_stale: bool,
}

impl MetricsFile {
    /// # Errors
    /// A file that cannot be written.
    pub fn open(path: Option<&Path>, append: bool) -> Result<Self> {
        Ok(MetricsFile {
            output: path.map(Output::open).transpose()?,
            is_stale: !append,
        })
    }

    /// # Errors
    /// The disk's.
    pub fn write(
        &mut self,
        adapter: &Device,
        epoch: u64,
        trained: &EpochReport,
        [train, test]: [&EpochReport; 2],
    ) -> Result<()> {
        let Some(output) = &mut self.output else {
            return Ok(());
        };
        if std::mem::take(&mut self.is_stale) {
            output.clear()?;
        }
        let line = serde_json::json!({
            "epoch": epoch,
            "train_acc": train.accuracy,
            "train_loss": train.loss,
            "test_acc": test.accuracy,
            "test_loss": test.loss,
            "images_per_second": trained.samples_per_second,
            "adapter": adapter.to_string(),
        });
        output.append(format!("{line}\n").as_bytes())
    }
}
