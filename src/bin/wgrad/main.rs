//! `wgrad`: train, evaluate and use image classifiers without writing Rust.
#![deny(clippy::print_stdout, clippy::print_stderr)]

#[path = "../../../examples/common/mod.rs"]
mod common;

mod arguments;
mod bench;
mod charts;
mod compare;
mod data;
mod doctor;
mod epochs;
mod evaluate;
mod export;
mod import;
mod measure;
mod model;
mod onnx;
mod plan;
mod plot;
mod predict;
mod report;
mod run_folder;
mod sheet;
mod shell;
mod subset;
mod tables;
mod tensorboard;
mod tiles;
mod train;
mod training;
mod tui;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use wgrad::Result;

/// Train convolutional networks on any GPU, and use them.
#[derive(Debug, Parser)]
#[command(version, args_override_self = true, after_help = EXAMPLES)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Three commands from a folder of pictures to predictions:
  wgrad train --model resnet8 --data pictures
  wgrad eval runs/resnet8 --data pictures
  wgrad predict runs/resnet8 new_pictures";

#[derive(Debug, Subcommand)]
enum Command {
    /// List the adapters of this machine, and check a kernel on each
    Doctor(doctor::Args),
    /// Compare every kernel with the CPU reference, on one adapter or on all
    Verify(verify::Args),
    /// Measure training on each adapter
    Bench(bench::Args),
    /// Train a model on a data set
    Train(Box<train::Args>),
    /// Measure a trained model on the test set of a data set
    Eval(evaluate::Args),
    /// Tell the classes of pictures
    Predict(predict::Args),
    /// Write a trained model as an ONNX file, or its weights
    Export(export::Args),
    /// Take weights from PyTorch
    Import(import::Args),
    /// Compare runs: their curves in one picture, and the options in which they differ
    Compare(compare::Args),
    /// Draw a run: curves, answers, filters, activations, what an image's class rests on
    Plot(plot::Args),
    /// Show the layers and the ops of a model
    Plan(plan::Args),
    /// Check and measure this machine, in a few minutes: two files to send
    Report(report::Args),
    /// Print completions for a shell
    Completions(shell::Completions),
    /// Write the manual pages
    Man(shell::Man),
}

fn main() -> ExitCode {
    common::quiet_drivers();
    common::signals::keep_ignoring_hang_ups();
    let arguments = match arguments::expanded() {
        Ok(arguments) => arguments,
        Err(error) => return common::exit(Err(error)),
    };
    match Program::try_parse_from(arguments) {
        Ok(program) => common::exit_by(wgrad::block_on(run(program.command))),
        Err(error) => common::refuse(error),
    }
}

/// Whether what was asked for is as it should be.
async fn run(command: Command) -> Result<bool> {
    match command {
        Command::Doctor(args) => doctor::run(&args).await,
        Command::Verify(args) => return verify::run(&args).await,
        Command::Bench(args) => bench::run(&args).await,
        Command::Report(args) => return report::run(&args).await,
        Command::Train(args) => train::run(&args).await,
        Command::Eval(args) => evaluate::run(&args).await,
        Command::Predict(args) => predict::run(&args).await,
        Command::Export(args) => export::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Plot(args) => plot::run(&args).await,
        Command::Plan(args) => plan::run(&args).await,
        Command::Completions(args) => args.print(),
        Command::Man(args) => args.write(),
    }?;
    Ok(true)
}
