//! Measures training on each adapter of this machine against the adapter's ceilings: `cargo run
//! --release --example bench_adapters`, which is `wgrad bench`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

#[path = "../src/bin/wgrad/bench/mod.rs"]
mod bench;
mod common;

use std::process::ExitCode;

/// Measure training steps and their kernels on each adapter, beside the adapter's ceilings.
#[derive(Debug, clap::Parser)]
#[command(version)]
struct Program {
    #[command(flatten)]
    args: bench::Args,
}

fn main() -> ExitCode {
    common::run_with(async |program: Program| bench::run(&program.args).await)
}
