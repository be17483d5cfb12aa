//! The examples as programs: their output, their files, and resuming them.

#[path = "../common/mod.rs"]
mod common;

mod bench_adapters;
mod example_outputs;
mod example_resume;
mod numbered_examples;
