//! What AMD's compiler in Mesa makes of every kernel of some networks, on cards that need not be
//! there: registers, occupancy, spills, instructions, and the share of multiply-adds in inner loops.
//!
//! `cargo run --release --manifest-path benches/codegen/Cargo.toml` needs Debian's
//! `mesa-vulkan-drivers`, and for the last column `llvm`. Its status is 1 if a kernel spills.

mod assembly;
mod kernels;
mod radv;
mod table;
#[path = "../../common/mod.rs"]
mod workload;

use std::error::Error;
use std::process::{Command, ExitCode, Stdio};

use clap::Parser;
use radv::{Compiled, Radv};
use workload::Model;

/// RADV's driver manifest, where Debian installs it.
const DRIVER: &str = "/usr/share/vulkan/icd.d/radeon_icd.x86_64.json";

/// Compile the kernels of networks for AMD cards, and list what came out.
#[derive(Debug, Parser)]
struct Args {
    /// Cards, as RADV names them
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',',
        default_values_t = ["NAVI21", "GFX1100", "VEGA10"].map(str::to_owned))]
    family: Vec<String>,
    /// Networks
    #[arg(long, value_enum, value_name = "NAME,NAME", value_delimiter = ',',
        default_values_t = [Model::Tutorial, Model::Larger, Model::Lenet5, Model::Resnet8, Model::Resnet20])]
    models: Vec<Model>,
    /// Compile with wgpu's run-time checks
    #[arg(long)]
    checks: bool,
    /// Compile for the card of RADV_FORCE_FAMILY, and print JSON
    #[arg(long, hide = true)]
    worker: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.worker {
        true => work(&args).map(|()| true),
        false => of_all(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Kernels made for software adapters, where registers are memory anyway; GPUs try them only with
/// full tuning.
fn is_for_software(name: &str) -> bool {
    let families = [
        "conv_forward",
        "conv_backward",
        "gemm_4x4",
        "gemm_8x8",
        "gemm_broadcast",
    ];
    families.iter().any(|family| name.starts_with(family))
}

/// Compiles every kernel for the card that the environment names.
fn work(args: &Args) -> Result<(), Box<dyn Error>> {
    let radv = Radv::open()?;
    let mut all: Vec<Compiled> = Vec::new();
    for kernel in kernels::of_networks(&args.models)? {
        all.push(radv.compile(&kernel, args.checks)?);
    }
    serde_json::to_writer(std::io::stdout(), &all)?;
    Ok(())
}

/// Prints a table for each card. Returns whether no kernel for GPUs spills or uses scratch memory.
fn of_all(args: &Args) -> Result<bool, Box<dyn Error>> {
    let mut fits = true;
    for family in &args.family {
        // The driver reads the variable once, so that each card takes a process.
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("--worker")
            .args(args.checks.then_some("--checks"));
        let names: Vec<_> = args.models.iter().map(|model| model.name()).collect();
        command.args(["--models", &names.join(",")]);
        command.env("RADV_FORCE_FAMILY", family);
        command.env("VK_DRIVER_FILES", DRIVER);
        let output = command.stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err(format!("{family}: {}", output.status).into());
        }
        let compiled: Vec<Compiled> = serde_json::from_slice(&output.stdout)?;
        print!("{}", table::of(family, &compiled));
        let of_gpus = compiled
            .iter()
            .filter(|kernel| !is_for_software(&kernel.name));
        for kernel in of_gpus.filter(|kernel| kernel.spills() > 0) {
            println!("{} spills: {}", kernel.name, kernel.sizes);
            fits = false;
        }
    }
    Ok(fits)
}
