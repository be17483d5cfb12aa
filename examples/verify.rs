//! Checks on each adapter of this machine that every kernel is right: `cargo run --release
//! --example verify`, which is `wgrad verify`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod common;
#[path = "../src/bin/wgrad/verify/mod.rs"]
mod verify;

use std::process::ExitCode;

/// Compare every kernel with the CPU reference, on one adapter or on all.
#[derive(Debug, clap::Parser)]
#[command(version)]
struct Program {
    #[command(flatten)]
    args: verify::Args,
}

fn main() -> ExitCode {
    common::quiet_drivers();
    match common::parse::<Program>() {
        Ok(program) => common::exit_by(wgrad::block_on(verify::run(&program.args))),
        Err(status) => status,
    }
}
