//! Training: the same results as PyTorch, as central differences, and as an uninterrupted run.

#[path = "../common/mod.rs"]
mod common;

mod batch_norm;
mod checkpoints;
mod example;
mod golden;
mod gradients;
mod graphs;
mod interrupted;
mod layers;
mod names;
mod prediction;
mod resuming;
mod texts;
mod training;
