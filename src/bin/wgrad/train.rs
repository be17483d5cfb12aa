//! `wgrad train`.

use std::path::{Component, Path, PathBuf};

use serde::Serialize;
use wgrad::data::Data;
use wgrad::nn::ModelFile;
use wgrad::{Checkpoint, Device, Error, RateTest, Result, Trainer};

use crate::common::signals;
use crate::common::{DeviceArgs, Output, say};
use crate::data::{DataArgs, Loaded};
use crate::epochs::Run;
use crate::run_folder::{ARGS, LAST, WEIGHTS};
use crate::subset::Subset;
use crate::training::TrainingArgs;
use crate::tui::Screen;
use crate::{arguments, charts, tables};

#[derive(Debug, Clone, clap::Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(args_override_self = true, allow_negative_numbers = true, after_help = EXAMPLES)]
pub struct Args {
    /// A built-in model, or a TOML file: tutorial, lenet5, compact, larger, vgg, resnet8, resnet20,
    /// resnet18, depthwise
    #[arg(long, value_name = "NAME or FILE")]
    model: String,
    #[command(flatten)]
    #[serde(flatten)]
    data: DataArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub training: TrainingArgs,
    #[command(flatten)]
    #[serde(skip)]
    device: DeviceArgs,
    /// Name of the run's folder [default: the model's]
    #[arg(long, value_name = "NAME", value_parser = name)]
    #[serde(skip)]
    name: Option<String>,
    /// Folder of the runs
    #[arg(long, value_name = "DIR", default_value = "runs")]
    #[serde(skip)]
    pub runs: PathBuf,
    /// Train on a part of the training set, drawn by the seed
    #[arg(long, value_name = "F", value_parser = part)]
    fraction: Option<f64>,
    /// Train and test on one batch, unchanged: a model and options that work reach a loss near 0
    #[arg(long)]
    overfit_batch: bool,
    /// Stop after so many epochs without a higher accuracy, or the same with a lower loss, on the test
    /// set
    #[arg(long, value_name = "EPOCHS")]
    pub patience: Option<u64>,
    /// Write files for TensorBoard: `tensorboard --logdir runs`
    #[arg(long)]
    pub tensorboard: bool,
    /// Take the whole terminal for curves and a table; q saves and stops
    #[arg(long)]
    #[serde(skip)]
    pub tui: bool,
    /// Stop after so many minutes
    #[arg(long, value_name = "MINUTES", value_parser = minutes)]
    #[serde(skip)]
    pub time: Option<f64>,
    /// Show layers, parameters, operations and memory, and do not train
    #[arg(long)]
    #[serde(skip)]
    dry_run: bool,
    /// Train with rising learning rates for 100 steps, draw the losses into lr_find.svg, suggest a
    /// rate
    #[arg(long)]
    #[serde(skip)]
    lr_find: bool,
    /// Continue the run of this folder, with its options; --data, --lr, --patience and --time may
    /// be others
    #[arg(long, value_name = "RUN", conflicts_with_all = ["name", "args", "lr_find", "dry_run"])]
    #[serde(skip)]
    pub resume: Option<PathBuf>,
    /// Take the options of a file, an earlier run's args.toml
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    args: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  wgrad train --model resnet8 --data pictures --augment crop=4,flip
  wgrad train --model my_model.toml --data data/mnist --epochs 5 --lr 0.02
  wgrad train --resume runs/resnet8
  wgrad train --args runs/resnet8/args.toml --seed 2";

pub async fn run(args: &Args) -> Result<()> {
    if args.tui {
        Screen::check()?;
    }
    if let Some(folder) = &args.resume {
        args.check_resumed(folder)?;
    }
    let device = args.device.open().await?;
    let (model, loaded) = args.load()?;
    let resumed = args.resume.as_deref().map(last_of).transpose()?;
    let trainer = args.trainer(&device, &model, &loaded, resumed.as_ref());
    let mut trainer = trainer.await?;
    if args.dry_run {
        return show(&trainer);
    }
    if args.lr_find {
        return find_rate(&mut trainer).await;
    }
    let mut run = Run::begin(args, &model, &loaded, &device)?;
    if let Some(checkpoint) = &resumed {
        run.restore(&mut trainer, checkpoint)?;
    }
    run.introduce(&trainer).await?;
    signals::handle()?;
    run.epochs(&mut trainer).await?;
    run.finish().await
}

/// Options that may change when a run is resumed.
const CHANGEABLE: [&str; 4] = ["data", "lr", "patience", "tensorboard"];

impl Args {
    /// # Errors
    /// Options differ from those of the run in `folder`, and may not.
    fn check_resumed(&self, folder: &Path) -> Result<()> {
        let wrong = |error| Error::value(ARGS, "options in TOML", error);
        let table = |args: &Args| toml::Table::try_from(args).map_err(wrong);
        let (before, now) = (table(&arguments::of_run(folder)?)?, table(self)?);
        let keys = before.keys().chain(now.keys());
        let mut others = keys.filter(|key| !CHANGEABLE.contains(&key.as_str()));
        match others.find(|key| before.get(*key) != now.get(*key)) {
            None => Ok(()),
            Some(key) => {
                let shown = |options: &toml::Table| match options.get(key) {
                    Some(value) => format!("--{key} {value}"),
                    None => format!("no --{key}"),
                };
                let before = format!("{}, as the run was begun", shown(&before));
                Err(Error::value("--resume", before, shown(&now)))
            }
        }
    }

    pub fn name(&self) -> String {
        let stem = PathBuf::from(&self.model);
        let stem = stem.file_stem().map(|stem| stem.to_string_lossy().into());
        self.name.clone().or(stem).unwrap_or("run".to_owned())
    }

    /// Takes the data set from another place.
    pub fn set_data(&mut self, path: &Path) {
        self.data.data = path.to_owned();
    }

    /// The data set, and the model for its images and classes.
    ///
    /// # Errors
    /// There is no such data set or model, or it cannot be read.
    pub fn load(&self) -> Result<(ModelFile, Loaded)> {
        let model = ModelFile::find(&self.model)?;
        let size = match *model.input().dims() {
            [_, height, width] => Some([height, width]),
            _ => None,
        };
        let mut loaded = self.data.load(size, self.training.seed)?;
        let train = loaded.data.train().len();
        if self.overfit_batch {
            let count = self.training.batch_size(train);
            let batch = || Subset::draw(&loaded.data, count, self.training.seed);
            loaded.data = Data::new(batch()).test(batch());
        } else if let Some(fraction) = self.fraction {
            let count = ((fraction * train as f64) as usize).max(1);
            let part = Subset::draw(&loaded.data, count, self.training.seed);
            loaded.data = loaded.data.with_train(part);
        }
        if let [class] = &loaded.classes[..] {
            let got = format!("1, {class}");
            return Err(Error::value("data set", "at least 2 classes", got));
        }
        if loaded.data.tested().is_none_or(|test| test.is_empty()) {
            return Err(Error::value("test set", "at least 1 image", 0));
        }
        let model = model.with_input(loaded.sample());
        Ok((model.with_classes(loaded.classes.len()), loaded))
    }

    /// The trainer, with half the batch as long as the device has not enough memory.
    async fn trainer(
        &self,
        device: &Device,
        model: &ModelFile,
        loaded: &Loaded,
        resumed: Option<&Checkpoint>,
    ) -> Result<Trainer> {
        let mut batch = self.training.batch_size(loaded.data.train().len());
        loop {
            let mut config = self.training.config(loaded, batch)?;
            if let Some(checkpoint) = resumed {
                // The same kernels, for the same bits.
                config = config.planning(checkpoint.planning()?);
            }
            let made = Trainer::new(device, model, loaded.data.clone(), config).await;
            match made {
                Err(error) if batch > 1 && is_too_large(&error) => {
                    say!(
                        "Batches of {batch} do not fit: {error}; trying {}",
                        batch / 2
                    )?;
                    batch /= 2;
                }
                made => return made,
            }
        }
    }
}

/// A number above 0 and up to 1.
fn part(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(number) if number > 0.0 && number <= 1.0 => Ok(number),
        _ => Err("expected a number above 0 and up to 1".to_owned()),
    }
}

/// A number of at least 0.
fn minutes(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number >= 0.0 && number.is_finite() => Ok(number),
        _ => Err("expected minutes, at least 0".to_owned()),
    }
}

/// The name of a folder in another.
fn name(text: &str) -> std::result::Result<String, String> {
    let mut parts = Path::new(text).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(_)), None) => Ok(text.to_owned()),
        _ => Err("expected the name of a folder, without a path".to_owned()),
    }
}

fn is_too_large(error: &Error) -> bool {
    match error {
        Error::Limit { .. } => true,
        Error::Gpu { message, .. } => message.to_lowercase().contains("memory"),
        _ => false,
    }
}

fn last_of(folder: &Path) -> Result<Checkpoint> {
    Checkpoint::load(folder.join(WEIGHTS).join(LAST))
}

/// Prints what the model is and what it takes.
fn show(trainer: &Trainer) -> Result<()> {
    let plan = trainer.plan();
    say!("{}", tables::layers(plan))?;
    let (ops, flop, _) = tables::work(plan);
    say!(
        "A step: {ops} ops, {:.2} GFLOP; device memory without the data set: {}",
        flop as f64 / 1e9,
        tables::mebibytes(plan.words())
    )
}

/// Draws the losses of rising learning rates, and suggests one.
async fn find_rate(trainer: &mut Trainer) -> Result<()> {
    const PICTURE: &str = "lr_find.svg";
    let curve = trainer.find_rate(&RateTest::new()).await?;
    let svg = charts::rates(&curve);
    Output::open(Path::new(PICTURE))?.replace(svg?.as_bytes())?;
    match curve.suggestion {
        Some(rate) => say!(
            "Suggestion: --lr {rate:.1e}, where the loss falls fastest; {PICTURE} has the curve"
        ),
        None => say!("The loss never falls clearly: no suggestion; {PICTURE} has the curve"),
    }
}
