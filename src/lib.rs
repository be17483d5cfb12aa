//! Trains convolutional networks with WGSL compute shaders on any GPU that wgpu reaches, with a CPU
//! reference that checks every kernel.
//!
//! For training and prediction: [`Device`], the layers of [`nn`], [`data`], [`Config`],
//! [`Trainer`], [`Session`], [`Predictor`], [`Checkpoint`].
//!
//! For layers and ops of your own, and for checks of an adapter, the parts behind them: a model
//! records itself as a [`graph`], which [`expand`] lowers once to a [`plan`] of [`ops`] over named
//! tensors, in phases; the [`gpu`] replays the plan, the [`cpu`] runs the same plan as the
//! reference, [`tune`] chooses kernels, and [`verify`] compares adapter and reference op by op.
//!
//! ```no_run
//! use wgrad::nn::{Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential};
//! use wgrad::{Config, Device, Loss, Planning, Sgd, Split, Trainer};
//!
//! # fn main() -> wgrad::Result<()> { wgrad::block_on(async {
//! let model = Sequential::new()
//!     .with(Conv2d::new(1, 4, 3)).with(ReLU).with(MaxPool2d::new(2))
//!     .with(Flatten).with(Linear::new(10));
//! let data = wgrad::data::load_mnist("data/mnist")?;
//! let config = Config::new(Loss::CrossEntropy, Sgd::new(0.05)).batch_size(32);
//! let mut trainer = Trainer::new(&Device::auto().await?, &model, &data, config).await?;
//! trainer.train_epoch(|_| {}).await?;
//! println!("test accuracy {:.4}", trainer.evaluate(Split::Test).await?.accuracy);
//! # Ok(()) }) }
//! ```

#![deny(unsafe_code)]
#![warn(missing_docs)]

mod augment;
mod cache;
pub mod cpu;
pub mod data;
mod device;
mod error;
pub mod executor;
pub mod expand;
mod files;
pub mod gpu;
pub mod graph;
mod loss;
mod memory;
pub mod nn;
mod notices;
pub mod ops;
mod optim;
pub mod plan;
mod predict;
pub mod shape;
mod spot;
mod target;
mod train;
pub mod tune;
pub mod verify;

pub use augment::Augmentation;
pub use device::Device;
pub use error::{Error, Result};
pub use loss::{CrossEntropy, Loss, Reduction};
pub use notices::Notices;
pub use optim::{Adam, Clipping, Lion, Optimizer, RmsProp, Schedule, Sgd};
pub use predict::Predictor;
pub use train::{
    Averaged, Checkpoint, Config, ConfusionMatrix, EpochReport, FolderLock, MeanAbsoluteError,
    Metric, Planning, Progress, RateCurve, RatePoint, RateTest, Residency, Session, Split, Targets,
    TopK, Trainer,
};

/// Re-exported, since its types appear in this crate's interface.
pub use wgpu;

/// Runs a future to completion on this thread, for programs that are not async. A browser must not
/// block; there, await instead.
#[cfg(not(target_arch = "wasm32"))]
pub use pollster::block_on;

/// The program in the README must compile and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
