//! How to train.

use super::Planning;
use crate::loss::Loss;
use crate::optim::{Optimizer, Schedule};

/// How to train.
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
    /// What is minimised.
    pub loss: Loss,
    /// What minimises it.
    pub optimizer: Optimizer,
    /// How its learning rate changes from step to step.
    pub schedule: Schedule,
    /// Rows of a batch; the last batch of an epoch holds what is left.
    pub batch_size: usize,
    /// Draws the initial parameters and the order of the samples.
    pub seed: u64,
    /// Whether each epoch visits the samples in an order of its own, or as they are stored.
    pub shuffle: bool,
    /// The plan that trains.
    pub planning: Planning,
}

impl Config {
    /// Batches of 32 samples, shuffled, seed 0, the fused plan with kernels chosen on the device.
    pub fn new(loss: Loss, optimizer: impl Into<Optimizer>) -> Self {
        Config {
            loss,
            optimizer: optimizer.into(),
            schedule: Schedule::constant(),
            batch_size: 32,
            seed: 0,
            shuffle: true,
            planning: Planning::default(),
        }
    }

    /// The same with batches of `rows`.
    pub fn batch_size(mut self, rows: usize) -> Self {
        self.batch_size = rows;
        self
    }

    /// The same with a learning rate that changes by `schedule`.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// The same with another seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same with or without shuffling.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// The same with another plan.
    pub fn planning(mut self, planning: Planning) -> Self {
        self.planning = planning;
        self
    }
}
