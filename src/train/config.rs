//! Training options.

use super::{Planning, Residency};
use crate::augment::Augmentation;
use crate::loss::Loss;
use crate::nn::Normalize;
use crate::optim::{Clipping, Optimizer, Schedule};

/// The options of a [`Trainer`](crate::Trainer). A [`Session`](crate::Session), which its owner
/// drives phase by phase, takes a [`Training`](crate::graph::Training) instead.
///
/// ```
/// use wgrad::{Config, Loss, Sgd};
///
/// let config = Config::new(Loss::CrossEntropy, Sgd::new(0.05).momentum(0.9)).batch_size(64).seed(1);
/// assert!(config.shuffle);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// The loss to minimise.
    pub loss: Loss,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The schedule of its learning rate.
    pub schedule: Schedule,
    /// The limits of the gradients.
    pub clipping: Clipping,
    /// The decay of the moving average of the parameters, if there is one.
    pub averaging: Option<f32>,
    /// Rows per batch; the last batch of an epoch holds the remaining samples.
    pub batch_size: usize,
    /// Batches whose gradients are added before each update.
    pub micro_batches: usize,
    /// Seed of the initial parameters and the order of the samples.
    pub seed: u64,
    /// Whether each epoch visits the samples in a new random order, or in stored order.
    pub shuffle: bool,
    /// The plan to train with.
    pub planning: Planning,
    /// Random changes of the images to train on.
    pub augmentation: Augmentation,
    /// The means and deviations by which images are normalised before the model.
    pub normalization: Option<Normalize>,
    /// Where the data set is kept.
    pub residency: Residency,
}

impl Config {
    /// Batches of 32 samples, shuffled, seed 0, the fused plan with kernels chosen on the device.
    pub fn new(loss: impl Into<Loss>, optimizer: impl Into<Optimizer>) -> Self {
        Config {
            loss: loss.into(),
            optimizer: optimizer.into(),
            schedule: Schedule::constant(),
            clipping: Clipping::new(),
            averaging: None,
            batch_size: 32,
            micro_batches: 1,
            seed: 0,
            shuffle: true,
            planning: Planning::default(),
            augmentation: Augmentation::new(),
            normalization: None,
            residency: Residency::default(),
        }
    }

    /// Sets the batch size.
    pub fn batch_size(mut self, rows: usize) -> Self {
        self.batch_size = rows;
        self
    }

    /// Updates the parameters once for each `count` batches, from the gradient of the mean over all
    /// their rows: a batch of `count` × [`Config::batch_size`] rows, in the memory of one. The last
    /// update of an epoch is of the remaining rows. Schedules count updates; batch normalisation, and
    /// [`EpochReport::first_not_finite`](crate::EpochReport::first_not_finite), know only batches.
    /// `count` is 1 to 256.
    pub fn micro_batches(mut self, count: usize) -> Self {
        self.micro_batches = count;
        self
    }

    /// Sets the schedule of the learning rate.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Sets the limits of the gradients.
    pub fn clipping(mut self, clipping: Clipping) -> Self {
        self.clipping = clipping;
        self
    }

    /// Averages the parameters after each update: decay·average + (1 − decay)·p, and p after the
    /// first, with a decay such as 0.999. [`Trainer::averaged`](crate::Trainer::averaged) measures the
    /// model with them, [`Checkpoint::averaged`](crate::Checkpoint::averaged) predicts with them.
    pub fn averaging(mut self, decay: f32) -> Self {
        self.averaging = Some(decay);
        self
    }

    /// Sets the seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Enables or disables shuffling.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// Sets the random changes of the images to train on.
    pub fn augmentation(mut self, augmentation: Augmentation) -> Self {
        self.augmentation = augmentation;
        self
    }

    /// Normalises images before the model: [`Normalize::of`] computes means and deviations. They are
    /// part of a checkpoint, so that prediction does the same.
    pub fn normalization(mut self, normalize: Normalize) -> Self {
        self.normalization = Some(normalize);
        self
    }

    /// Sets where the data set is kept.
    pub fn residency(mut self, residency: Residency) -> Self {
        self.residency = residency;
        self
    }

    /// Sets the plan to train with.
    pub fn planning(mut self, planning: Planning) -> Self {
        self.planning = planning;
        self
    }
}
