//! External input: arguments, sizes, data sets, weights.

#[path = "../common/mod.rs"]
mod common;

mod cifar;
mod data_files;
mod data_sets;
mod initial;
mod inputs;
#[cfg(feature = "model-files")]
mod model_files;
#[cfg(feature = "numpy")]
mod numpy;
#[cfg(feature = "pictures")]
mod pictures;
mod sizes;
mod sources;
mod weights;
#[cfg(feature = "model-files")]
mod wrong_model_files;
