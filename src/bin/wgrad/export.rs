//! `wgrad export`.

use std::path::PathBuf;

use wgrad::{Error, Result};

use crate::common::{Output, say};
use crate::model::Trained;
use crate::onnx;

/// Arrays of the optimizer begin with this.
const OPTIMIZER: &str = "optimizer.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A run's folder, or a checkpoint
    #[arg(value_name = "RUN or FILE")]
    weights: PathBuf,
    /// Write an ONNX file: images of any number, with values from 0 to 1, to logits
    #[arg(long, value_name = "FILE")]
    onnx: Option<PathBuf>,
    /// Leave batch norms in the ONNX file, rather than fold them into convolutions
    #[arg(long, requires = "onnx")]
    no_fold: bool,
    /// Write the weights alone, which PyTorch's `load_state_dict` takes
    #[arg(long, value_name = "FILE")]
    safetensors: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  wgrad export runs/resnet8 --onnx classifier.onnx
  wgrad export runs/resnet8 --safetensors weights.safetensors";

pub fn run(args: &Args) -> Result<()> {
    if args.onnx.is_none() && args.safetensors.is_none() {
        return Err(Error::value(
            "export",
            "--onnx FILE or --safetensors FILE",
            "neither",
        ));
    }
    let mut trained = Trained::load(&args.weights)?;
    if let Some(path) = &args.onnx {
        let mut output = Output::open(path)?;
        let classes = trained.classes.as_deref();
        output.replace(&onnx::file(&trained.checkpoint, !args.no_fold, classes)?)?;
        say!("wrote {}", path.display())?;
    }
    if let Some(path) = &args.safetensors {
        let tensors = &mut trained.checkpoint.tensors;
        tensors.retain(|name, _| !name.starts_with(OPTIMIZER));
        trained.checkpoint.save(path)?;
        say!("wrote {}", path.display())?;
    }
    Ok(())
}
