//! Training: the same results as PyTorch, as central differences, and as a run that nothing cut off.

#[path = "../common/mod.rs"]
mod common;

mod checkpoints;
mod example;
mod golden;
mod gradients;
mod interrupted;
mod training;
