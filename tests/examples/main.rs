//! The examples as programs: what they print, write and resume.

#[path = "../common/mod.rs"]
mod common;

mod bench_adapters;
mod example_outputs;
mod example_resume;
mod numbered_examples;
