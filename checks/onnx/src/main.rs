//! Runs the ONNX files that wgrad's tests exported in tract, and compares the outputs with those that
//! the tests wrote beside them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::DimLike;
use tract_onnx::tract_hir::infer::Factoid;

/// The largest difference, relative to the largest output.
const BOUND: f32 = 1e-5;

fn main() -> TractResult<ExitCode> {
    let folder = std::env::args().nth(1).map_or_else(
        || {
            PathBuf::from(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../target/tmp/onnx"
            ))
        },
        PathBuf::from,
    );
    let entries = fs::read_dir(&folder)?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|end| end == "onnx"))
        .collect();
    files.sort();
    let mut worst = 0f32;
    for file in &files {
        let difference = difference(file)?;
        println!(
            "{:<28} {difference:.1e}",
            file.file_name().unwrap_or_default().display()
        );
        worst = worst.max(difference);
    }
    println!(
        "{} files, largest difference {worst:.1e} of the largest output",
        files.len()
    );
    Ok(match !files.is_empty() && worst <= BOUND {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn floats(path: &Path) -> TractResult<Vec<f32>> {
    Ok(bytemuck::pod_collect_to_vec(&fs::read(path)?))
}

fn difference(file: &Path) -> TractResult<f32> {
    let inputs = floats(&file.with_extension("in"))?;
    let expected = floats(&file.with_extension("out"))?;
    let model = tract_onnx::onnx().model_for_path(file)?;
    let fact = model.input_fact(0)?.clone();
    let rest = fact.shape.dims().skip(1);
    let rest: Vec<usize> = rest
        .filter_map(|extent| extent.concretize()?.to_usize().ok())
        .collect();
    let rows = inputs.len() / rest.iter().product::<usize>();
    let shape = [vec![rows], rest].concat();
    let model = model.with_input_fact(0, f32::fact(&shape).into())?;
    let model = model.into_optimized()?.into_runnable()?;
    let images = Tensor::from_shape(&shape, &inputs)?;
    let outputs = model.run(tvec!(images.into()))?;
    let got = outputs[0].to_plain_array_view::<f32>()?;
    if got.len() != expected.len() {
        return Ok(f32::INFINITY);
    }
    let largest = expected
        .iter()
        .fold(1f32, |largest, value| largest.max(value.abs()));
    let differences = got
        .iter()
        .zip(&expected)
        .map(|(got, expected)| (got - expected).abs());
    Ok(differences.fold(0f32, f32::max) / largest)
}
