//! What each data set is trained with: network, epochs, random changes, learning rates.

use std::fmt;
use std::path::Path;

use clap::ValueEnum;
use wgrad::data::{Dataset, IdxOptions, PictureOptions, load_idx, load_pictures};
use wgrad::nn::Normalize;
use wgrad::nn::models::ResNet;
use wgrad::{Augmentation, Config, CrossEntropy, Result, Schedule, Sgd};

use super::common;

/// Rows of a batch.
pub const BATCH: usize = 64;
const LEARNING_RATE: f32 = 0.1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Recipe {
    /// Digits, in IDX files
    Mnist,
    /// Clothes, in IDX files
    Fashion,
    /// Pictures in folders by class
    Cifar10,
}

/// Epochs on images of one size.
#[derive(Debug, Clone, Copy)]
pub struct Stage {
    pub epochs: u64,
    /// Height and width; `None` is the data set's own.
    pub size: Option<[usize; 2]>,
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.to_possible_value();
        f.write_str(name.as_ref().map_or("", |name| name.get_name()))
    }
}

impl Recipe {
    pub fn data(self, folder: &Path, size: Option<[usize; 2]>) -> Result<Dataset> {
        match self {
            Recipe::Mnist | Recipe::Fashion => load_idx(folder, &IdxOptions::default()),
            Recipe::Cifar10 => {
                let bar = common::progress_bar("Pictures", 0);
                let mut options = PictureOptions::new();
                if let Some(size) = size {
                    options = options.size(size);
                }
                let pictures = load_pictures(folder, &options, |done, total| {
                    bar.set_length(total as u64);
                    bar.set_position(done as u64);
                });
                bar.finish_and_clear();
                Ok(pictures?.dataset)
            }
        }
    }

    /// ResNet-8: 77,754 parameters for one channel, 78,042 for three.
    pub fn model(self) -> ResNet {
        match self {
            Recipe::Mnist | Recipe::Fashion => ResNet::eight(1, 10),
            Recipe::Cifar10 => ResNet::eight(3, 10),
        }
    }

    pub fn epochs(self) -> u64 {
        match self {
            Recipe::Mnist => 10,
            Recipe::Fashion => 20,
            Recipe::Cifar10 => 65,
        }
    }

    /// CIFAR-10 is trained on smaller pictures first: an epoch of 24×24 takes little more than half
    /// as long as one of 32×32.
    pub fn stages(self, epochs: u64) -> Vec<Stage> {
        let whole = |epochs| Stage { epochs, size: None };
        match self {
            Recipe::Mnist | Recipe::Fashion => vec![whole(epochs)],
            Recipe::Cifar10 => {
                let small = Stage {
                    epochs: epochs * 35 / 65,
                    size: Some([24, 24]),
                };
                let stages = [small, whole(epochs - small.epochs)];
                stages
                    .into_iter()
                    .filter(|stage| stage.epochs > 0)
                    .collect()
            }
        }
    }

    fn augmentation(self) -> Augmentation {
        let changes = Augmentation::new();
        match self {
            Recipe::Mnist => changes.shift(2).rotation(10.0).scale(0.9, 1.1),
            Recipe::Fashion | Recipe::Cifar10 => changes.crop(2).flip(),
        }
    }

    /// Whether an image and its mirror image are of one class.
    pub fn is_symmetric(self) -> bool {
        self != Recipe::Mnist
    }

    /// Means and deviations of the training set, by channel.
    fn normalize(self) -> Normalize {
        match self {
            Recipe::Mnist => Normalize::new([0.1307], [0.3081]),
            Recipe::Fashion => Normalize::new([0.2860], [0.3530]),
            Recipe::Cifar10 => Normalize::new([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
        }
    }

    /// The training of a stage of `steps` steps; `before` came before it, and all are `total`.
    ///
    /// Stochastic gradient descent with Nesterov's momentum; a learning rate that rises for 0.15 of
    /// all steps and then falls linearly to zero; and a moving average of the weights, which is
    /// what is evaluated.
    pub fn config(self, seed: u64, [before, steps, total]: [u64; 3]) -> Config {
        let all = Schedule::polynomial(total, 1.0).warm_up(3 * total / 20);
        let (first, schedule) = match before {
            0 => (1.0, all),
            _ => (all.factor(before), Schedule::polynomial(steps, 1.0)),
        };
        let sgd = Sgd::new(LEARNING_RATE * first).momentum(0.9).nesterov();
        let sgd = sgd.weight_decay(1.5e-4).decay_weights_only();
        Config::new(CrossEntropy::new(), sgd)
            .schedule(schedule)
            .averaging(0.998)
            .augmentation(self.augmentation())
            .normalization(self.normalize())
            .batch_size(BATCH)
            .seed(seed)
    }
}
