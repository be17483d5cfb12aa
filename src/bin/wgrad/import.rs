//! `wgrad import`: weights of PyTorch as a checkpoint.

use std::path::{Path, PathBuf};

use pytorch_reader::{DType, PytorchReader};
use safetensors::tensor::{Dtype, TensorView};
use wgrad::nn::{ModelFile, Normalize};
use wgrad::shape::Shape;
use wgrad::{Checkpoint, Error, Result};

use crate::common::{complain, say};
use crate::data::Size;
use crate::model::{CLASSES, MODEL_FILE};

/// What `DataParallel` puts before each name.
const PARALLEL: &str = "module.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What `torch.save(net.state_dict(), FILE)` wrote, or a safetensors file
    #[arg(value_name = "FILE")]
    weights: PathBuf,
    /// Their model: a built-in one, or a TOML file whose layers have the names of the `state_dict`
    #[arg(long, value_name = "NAME or FILE")]
    model: String,
    /// The checkpoint to write
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Where in the file the weights are, if it holds more: `state_dict` for example
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Names of the classes, in the order of the outputs [default: the model's number of classes]
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    classes: Vec<String>,
    /// Height and width of an image [default: the model's]
    #[arg(long, value_name = "N or HxW")]
    size: Option<Size>,
    /// Channels of an image: 1 or 3 [default: the model's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    channels: Option<u8>,
    /// Means of the channels that images were normalised by, of values from 0 to 1
    #[arg(
        long,
        value_name = "M,M,…",
        value_delimiter = ',',
        requires = "deviations"
    )]
    means: Vec<f32>,
    /// Standard deviations of the channels
    #[arg(long, value_name = "D,D,…", value_delimiter = ',', requires = "means")]
    deviations: Vec<f32>,
}

const EXAMPLES: &str = "\
Examples:
  wgrad import resnet8.pt --model resnet8 --output resnet8.safetensors --classes cat,dog
  wgrad import run.pth --key state_dict --model my_model.toml --output mine.safetensors \\
      --means 0.485,0.456,0.406 --deviations 0.229,0.224,0.225";

pub fn run(args: &Args) -> Result<()> {
    let mut names: Vec<&String> = args.classes.iter().collect();
    names.sort();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let got = format!("{} twice", twice[0]);
        return Err(Error::value("--classes", "a name of its own for each", got));
    }
    let weights = read(&args.weights, args.key.as_deref())?;
    for notice in weights.notices.iter() {
        complain(format_args!("Notice: {notice}"));
    }
    let mut model = ModelFile::find(&args.model)?;
    let mut sample = model.input().dims().to_vec();
    if let (Some(size), [_, height, width]) = (args.size, &mut sample[..]) {
        [*height, *width] = size.0;
    }
    if let (Some(channels), Some(first)) = (args.channels, sample.first_mut()) {
        *first = channels.into();
    }
    if !args.classes.is_empty() {
        model = model.with_classes(args.classes.len());
    }
    let sample = Shape::new(sample);
    let model = model.with_input(sample.clone());
    let normalize = Normalize::new(args.means.clone(), args.deviations.clone());
    let normalize = (!args.means.is_empty()).then_some(&normalize);
    let mut checkpoint = weights.described(&model, sample, normalize)?;
    let metadata = &mut checkpoint.metadata;
    if !args.classes.is_empty() {
        let classes = serde_json::json!(args.classes).to_string();
        metadata.insert(CLASSES.to_owned(), classes);
    }
    metadata.insert(MODEL_FILE.to_owned(), model.text().to_owned());
    checkpoint.save(&args.output)?;
    let count = checkpoint.tensors.len();
    say!("wrote {count} tensors to {}", args.output.display())
}

/// # Errors
/// The file cannot be read, or is neither PyTorch's nor safetensors.
fn read(path: &Path, key: Option<&str>) -> Result<Checkpoint> {
    if path.extension().is_some_and(|end| end == "safetensors") {
        return Checkpoint::load(path);
    }
    let wrong = |got: String| Error::Data {
        path: path.to_owned(),
        expected: "a state_dict that torch.save wrote".to_owned(),
        got: got.replace('\n', " "),
    };
    if let Err(source) = std::fs::File::open(path) {
        let path = path.to_owned();
        return Err(Error::Io { path, source });
    }
    let reader = match key {
        Some(key) => PytorchReader::with_top_level_key(path, key),
        None => PytorchReader::new(path),
    };
    let reader = reader.map_err(|error| wrong(error.to_string()))?;
    let mut arrays = Vec::new();
    let is_parallel = reader.keys().iter().all(|name| name.starts_with(PARALLEL));
    for (name, tensor) in reader.tensors() {
        let name = if is_parallel {
            &name[PARALLEL.len()..]
        } else {
            name
        };
        let element = element(tensor.dtype());
        let element = element.ok_or_else(|| wrong(format!("{:?} in {name}", tensor.dtype())))?;
        let bytes = tensor.read().map_err(|error| wrong(error.to_string()))?;
        arrays.push((name, element, tensor.shape().to_vec(), bytes));
    }
    if arrays.is_empty() {
        return Err(wrong("no tensor".to_owned()));
    }
    // As a safetensors file in memory, whose elements are converted in one place.
    let views = arrays.iter().map(|(name, element, shape, bytes)| {
        Ok((name, TensorView::new(*element, shape.clone(), bytes)?))
    });
    let views = views.collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>();
    let bytes = views.and_then(|views| safetensors::serialize(views, None));
    Checkpoint::from_bytes(&bytes.map_err(|error| wrong(error.to_string()))?)
}

/// The elements that checkpoints are read from.
fn element(element: DType) -> Option<Dtype> {
    match element {
        DType::F64 => Some(Dtype::F64),
        DType::F32 => Some(Dtype::F32),
        DType::F16 => Some(Dtype::F16),
        DType::BF16 => Some(Dtype::BF16),
        DType::I64 => Some(Dtype::I64),
        _ => None,
    }
}
