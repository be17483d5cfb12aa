//! Training: the same results as PyTorch, as central differences, and as an uninterrupted run.

#[path = "../common/mod.rs"]
mod common;

mod augmentation;
mod averaging;
mod batch_norm;
mod checkpoints;
mod convolutions;
mod example;
mod golden;
mod golden_models;
mod gradient_networks;
mod gradients;
mod graphs;
mod interrupted;
mod layers;
mod micro_batches;
mod models;
mod names;
mod prediction;
mod resuming;
mod streaming;
mod targets;
mod texts;
mod training;
mod updates;
