//! External input: arguments, sizes, data sets, weights.

#[path = "../common/mod.rs"]
mod common;

mod data_files;
mod data_sets;
mod inputs;
mod sizes;
mod weights;
