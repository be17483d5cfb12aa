//! Lists the adapters of this machine with the numbers that `--adapter` takes.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod common;

use common::say;
use wgrad::{Device, Result};

/// List the adapters of this machine, numbered as --adapter counts them.
#[derive(Debug, clap::Parser)]
#[command(version)]
struct Args {}

fn main() -> std::process::ExitCode {
    common::run_with(async |Args {}| list().await)
}

async fn list() -> Result<()> {
    for (number, device) in Device::all().await?.iter().enumerate() {
        say!("{number}: {device}")?;
    }
    Ok(())
}
