//! The options of training: optimizer, learning rate, random changes.

use clap::{Args, ValueEnum};
use serde::Serialize;
use wgrad::data::{balanced_weights, class_counts};
use wgrad::nn::Normalize;
use wgrad::{
    Adam, Augmentation, Clipping, Config, CrossEntropy, Error, Lion, Optimizer, Result, RmsProp,
    Schedule, Sgd,
};

use crate::data::Loaded;

#[derive(Debug, Clone, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrainingArgs {
    /// Passes over the training set
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub epochs: u64,
    /// Images of a step [default: 64, or less for less than 1,024 training images]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    batch_size: Option<usize>,
    /// The optimizer
    #[arg(long, value_enum, default_value_t = OptimizerName::Sgd)]
    optimizer: OptimizerName,
    /// The highest learning rate [default: 0.05 for sgd, 0.001 for adam, adamw and rmsprop, 0.0001
    /// for lion]
    #[arg(long, value_name = "RATE")]
    lr: Option<f32>,
    /// Momentum of sgd and rmsprop [default: 0.9]
    #[arg(long, value_name = "M")]
    momentum: Option<f32>,
    /// Decay of the weights; biases and normalisations do not decay
    #[arg(long, value_name = "W", default_value_t = 1e-4)]
    weight_decay: f32,
    /// How the learning rate falls from step to step
    #[arg(long, value_enum, default_value_t = ScheduleName::Linear)]
    schedule: ScheduleName,
    /// Fraction of all steps in which the learning rate rises first
    #[arg(long, value_name = "F", default_value_t = 0.1, value_parser = fraction)]
    warm_up: f64,
    /// Label smoothing
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    label_smoothing: f32,
    /// Weigh classes so that rare ones count as much as frequent ones
    #[arg(long)]
    balance: bool,
    /// Limit the norm of the gradients
    #[arg(long, value_name = "NORM")]
    clip_norm: Option<f32>,
    /// Decay of a moving average of the weights, which is then evaluated: 0.998 for example
    #[arg(long, value_name = "D")]
    pub average: Option<f32>,
    /// Random changes of training images: shift=N, crop=N, flip, rotation=DEGREES, scale=MIN:MAX,
    /// contrast=C, brightness=B, cutout=N, mixup=A, in a list as crop=2,flip; or none
    #[arg(long, value_name = "LIST", default_value = "none", value_parser = changes)]
    augment: String,
    /// Seed of the initial weights, the order of the images, and their changes
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum OptimizerName {
    /// Stochastic gradient descent with Nesterov's momentum
    Sgd,
    Adam,
    /// Adam with decoupled decay
    #[value(name = "adamw")]
    #[serde(rename = "adamw")]
    AdamW,
    #[value(name = "rmsprop")]
    #[serde(rename = "rmsprop")]
    RmsProp,
    Lion,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum ScheduleName {
    Constant,
    /// To zero
    Linear,
    /// To zero, by half a cosine
    Cosine,
}

/// Images of a step, unless the training set is small.
const BATCH: usize = 64;

/// Steps that an epoch should have at least, and images that a step should have.
const LEAST_STEPS: usize = 16;
const LEAST_BATCH: usize = 4;

impl TrainingArgs {
    /// Images of a step, for a training set of `images`.
    pub fn batch_size(&self, images: usize) -> usize {
        let fitting = (images / LEAST_STEPS).max(LEAST_BATCH);
        // A power of two, which kernels like.
        let fitting = 1 << fitting.ilog2();
        self.batch_size.unwrap_or(BATCH.min(fitting))
    }

    /// The configuration for `batch_size`, which may be smaller than what was asked for.
    ///
    /// # Errors
    /// The data set cannot be read.
    pub fn config(&self, loaded: &Loaded, batch_size: usize) -> Result<Config> {
        let has_momentum = matches!(self.optimizer, OptimizerName::Sgd | OptimizerName::RmsProp);
        if self.momentum.is_some() && !has_momentum {
            let expected = "--optimizer sgd or rmsprop beside it";
            return Err(Error::value("--momentum", expected, "another"));
        }
        let train = loaded.data.train();
        let mut loss = CrossEntropy::new().label_smoothing(self.label_smoothing);
        if self.balance {
            loss = loss.class_weights(balanced_weights(&class_counts(train)?));
        }
        let steps = self.epochs * train.len().div_ceil(batch_size) as u64;
        let mut config = Config::new(loss, self.optimizer())
            .schedule(self.schedule(steps))
            .augmentation(self.augmentation()?)
            .normalization(Normalize::of(train)?)
            .batch_size(batch_size)
            .seed(self.seed);
        if let Some(norm) = self.clip_norm {
            config = config.clipping(Clipping::new().norm(norm));
        }
        if let Some(decay) = self.average {
            config = config.averaging(decay);
        }
        Ok(config)
    }

    /// The random changes of training images.
    ///
    /// # Errors
    /// The list is wrong, which the parser of the options refuses.
    pub fn augmentation(&self) -> Result<Augmentation> {
        let changes = augmentation(&self.augment);
        changes.map_err(|got| Error::value("--augment", "a list of changes, or none", got))
    }

    /// The highest learning rate.
    pub fn rate(&self) -> f32 {
        self.lr.unwrap_or(match self.optimizer {
            OptimizerName::Sgd => 0.05,
            OptimizerName::Adam | OptimizerName::AdamW | OptimizerName::RmsProp => 1e-3,
            OptimizerName::Lion => 1e-4,
        })
    }

    fn optimizer(&self) -> Optimizer {
        let (rate, decay) = (self.rate(), self.weight_decay);
        let momentum = self.momentum.unwrap_or(0.9);
        match self.optimizer {
            OptimizerName::Sgd => {
                let sgd = Sgd::new(rate).momentum(momentum);
                let sgd = if momentum > 0.0 { sgd.nesterov() } else { sgd };
                sgd.weight_decay(decay).decay_weights_only().into()
            }
            OptimizerName::Adam => {
                let adam = Adam::new(rate).weight_decay(decay);
                adam.decay_weights_only().into()
            }
            OptimizerName::AdamW => {
                let adam = Adam::decoupled(rate).weight_decay(decay);
                adam.decay_weights_only().into()
            }
            OptimizerName::RmsProp => {
                let rms_prop = RmsProp::new(rate).momentum(momentum);
                rms_prop.weight_decay(decay).decay_weights_only().into()
            }
            OptimizerName::Lion => {
                let lion = Lion::new(rate).weight_decay(decay);
                lion.decay_weights_only().into()
            }
        }
    }

    fn schedule(&self, steps: u64) -> Schedule {
        let schedule = match self.schedule {
            ScheduleName::Constant => Schedule::constant(),
            ScheduleName::Linear => Schedule::polynomial(steps, 1.0),
            ScheduleName::Cosine => Schedule::cosine(steps),
        };
        schedule.warm_up((self.warm_up * steps as f64) as u64)
    }
}

fn at_least_one(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("expected a whole number of at least 1".to_owned()),
    }
}

/// A number from 0 to below 1.
fn fraction(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.0..1.0).contains(&number) => Ok(number),
        _ => Err("expected a number from 0 to below 1".to_owned()),
    }
}

/// Checks a list of changes, and keeps its text.
fn changes(text: &str) -> std::result::Result<String, String> {
    augmentation(text).map(|_| text.to_owned())
}

fn augmentation(text: &str) -> std::result::Result<Augmentation, String> {
    let mut changes = Augmentation::new();
    if text == "none" {
        return Ok(changes);
    }
    for change in text.split(',') {
        let (name, value) = change.split_once('=').unwrap_or((change, ""));
        let wrong = |expected: &str| format!("{change}: expected {name}={expected}");
        let number = || value.parse::<f64>().map_err(|_| wrong("a number"));
        let pixels = || {
            value
                .parse::<usize>()
                .map_err(|_| wrong("a number of pixels"))
        };
        changes = match name {
            "shift" => changes.shift(pixels()?),
            "crop" => changes.crop(pixels()?),
            "flip" if value.is_empty() => changes.flip(),
            "rotation" => changes.rotation(number()?),
            "scale" => {
                let range = value.split_once(':');
                let range = range.and_then(|(least, most)| {
                    Some((least.parse::<f64>().ok()?, most.parse::<f64>().ok()?))
                });
                let (least, most) = range.ok_or_else(|| wrong("two factors, as 0.9:1.1"))?;
                changes.scale(least, most)
            }
            "contrast" => changes.contrast(number()?),
            "brightness" => changes.brightness(number()?),
            "cutout" => changes.cutout(pixels()?),
            "mixup" => changes.mixup(number()?),
            "flip" => return Err(format!("{change}: expected flip, without a value")),
            _ => return Err(unknown_change(name)),
        };
    }
    Ok(changes)
}

const CHANGES: [&str; 9] = [
    "shift",
    "crop",
    "flip",
    "rotation",
    "scale",
    "contrast",
    "brightness",
    "cutout",
    "mixup",
];

fn unknown_change(name: &str) -> String {
    let similar = |known: &&&str| strsim::damerau_levenshtein(known, name);
    let closest = CHANGES
        .iter()
        .min_by_key(similar)
        .filter(|known| similar(known) <= 2);
    let hint = closest.map_or(String::new(), |known| format!(", did you mean {known}?"));
    format!("{name}: expected one of {}{hint}", CHANGES.join(", "))
}
