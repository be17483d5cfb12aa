//! Every kernel against the CPU reference, within the op's error bound.

#[path = "../common/mod.rs"]
mod common;

mod activations;
mod adam;
mod batch_norm;
mod depthwise;
mod dropout;
mod known_issues;
mod longest_loops;
mod loops;
mod losses;
mod mutants;
mod padding;
mod planted;
mod planted_batch_norm;
mod planted_data;
mod planted_fused;
mod planted_gathered;
mod planted_grouped;
mod planted_layers;
mod planted_linear;
mod planted_losses;
mod planted_norms;
mod planted_optimizers;
mod planted_planes;
mod planted_pool;
mod planted_tiles;
mod pointwise;
mod products;
mod spot;
mod unchecked;
mod updates;
mod windows;

use wgrad::Device;
use wgrad::executor::Executor;
use wgrad::ops::{Args, Content, Op, Step};
use wgrad::plan::{Builder, Phase};
use wgrad::verify::{OutputReport, lockstep};

/// A step for ops that do not depend on it.
fn any_step() -> Step {
    Step::new(0, 1, 0, 0.01)
}

/// The outputs of `op`'s reference on `inputs`.
fn outputs_of(op: &dyn Op, inputs: &[Vec<u32>], step: &Step) -> Vec<Vec<u32>> {
    let outputs = op.bindings().outputs.into_iter();
    let mut outputs: Vec<Vec<u32>> = outputs.map(|output| vec![0; output.words]).collect();
    op.reference(&mut Args {
        inputs: inputs.iter().map(Vec::as_slice).collect(),
        outputs: outputs.iter_mut().map(Vec::as_mut_slice).collect(),
        step,
    });
    outputs
}

/// Runs `op` alone on the adapter, with `inputs` bound and `before` in its outputs, and compares
/// its outputs with the reference.
fn reports(
    device: &Device,
    op: impl Op + 'static,
    inputs: &[Vec<u32>],
    before: &[Vec<u32>],
    step: &Step,
) -> Vec<OutputReport> {
    let mut plan = Builder::new(false);
    let (read, written) = plan.tensors_of(&op).unwrap();
    plan.op(Phase::Forward, op, &read, &written).unwrap();
    wgrad::block_on(async {
        let mut executor = device
            .clone()
            .without_spot_checks()
            .load(plan.finish())
            .await
            .unwrap();
        for (&tensor, words) in read.iter().chain(&written).zip(inputs.iter().chain(before)) {
            executor.write_words(tensor, words).unwrap();
        }
        let Executor::Gpu(gpu) = &mut executor else {
            panic!("the device is no adapter");
        };
        lockstep(gpu, &[Phase::Forward], step).await.unwrap()
    })
}

/// Like [`reports`], with random floats in the outputs beforehand; fails unless every output is
/// right.
fn check(device: &Device, op: impl Op + Clone + 'static, inputs: &[Vec<u32>], step: &Step) {
    let mut generator = common::generator(99);
    let outputs = op.bindings().outputs;
    let before: Vec<Vec<u32>> = outputs
        .iter()
        .map(|output| {
            let mut floats = common::floats(output.words, &mut generator);
            if let Content::Positive = output.content {
                floats.iter_mut().for_each(|float| *float = float.abs());
            }
            common::words(&floats)
        })
        .collect();
    for report in reports(device, op.clone(), inputs, &before, step) {
        assert!(report.passes(), "{op:?}\n{report:?}");
    }
}

/// Random floats for every input of `op`.
fn random_inputs(op: &dyn Op, seed: u64) -> Vec<Vec<u32>> {
    let mut generator = common::generator(seed);
    let inputs = op.bindings().inputs;
    let lens = inputs.iter().map(|input| input.words);
    lens.map(|len| common::words(&common::floats(len, &mut generator)))
        .collect()
}

/// Checks `op` on random floats.
fn check_random(device: &Device, op: impl Op + Clone + 'static) {
    let inputs = random_inputs(&op, 7);
    check(device, op, &inputs, &any_step());
}
