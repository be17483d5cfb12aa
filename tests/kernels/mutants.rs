//! A check that cannot fail is a defect: the comparison must catch each of these wrong kernels.

use wgrad::Device;
use wgrad::ops::{ConvPoolForward, MaxPoolForward, Op, Step};

use wgrad::executor::Executor;
use wgrad::plan::{Builder, Phase};
use wgrad::shape::WindowedPlanes;
use wgrad::verify::lockstep;

use super::common::{self, altered::Altered};
use super::planted::{self, geometry};
use super::{
    planted_batch_norm, planted_data, planted_fused, planted_gathered, planted_grouped,
    planted_layers, planted_linear, planted_losses, planted_norms, planted_optimizers,
    planted_planes, planted_pool, planted_tiles,
};

/// An op with its kernel changed in one place, and the unchanged reference.
fn mutant(op: Box<dyn Op>, from: &str, to: &str) -> Box<dyn Op> {
    Box::new(Altered::new(op).kernel(from, |text| text.replacen(from, to, 1)))
}

/// The correct values of a max-pool: input, output, indices.
fn pooled(geometry: WindowedPlanes) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
    let op = MaxPoolForward {
        geometry,
        relu: false,
    };
    let mut inputs = super::random_inputs(&op, 11);
    let mut outputs = super::outputs_of(&op, &inputs, &Step::new(0, 1, 0, 0.1));
    let (indices, output) = (outputs.remove(1), outputs.remove(0));
    (inputs.remove(0), output, indices)
}

/// The change to the kernel, the op, the text and its replacement.
type Planted = (&'static str, Box<dyn Op>, &'static str, &'static str);

/// Every planted fault whose kernel the adapter can run.
fn mutants(device: &Device) -> Vec<Planted> {
    let subgroups = device
        .adapter()
        .is_some_and(|adapter| adapter.has_subgroups());
    let mut all = planted::mutants();
    all.extend(planted_batch_norm::mutants());
    all.extend(planted_fused::mutants());
    all.extend(planted_gathered::mutants());
    all.extend(planted_grouped::mutants());
    all.extend(planted_pool::mutants());
    all.extend(planted_tiles::mutants());
    all.extend(planted_layers::mutants());
    all.extend(planted_linear::mutants());
    all.extend(planted_data::mutants());
    all.extend(planted_losses::mutants());
    all.extend(planted_optimizers::mutants());
    all.extend(planted_norms::mutants());
    all.extend(planted_planes::mutants());
    all.retain(|(_, op, _, _)| subgroups || !op.launch().needs_subgroups);
    all
}

/// Inputs that expose each fault.
fn inputs_of(op: &dyn Op) -> Vec<Vec<u32>> {
    let mut inputs = super::random_inputs(op, 11);
    let labels: Vec<u32> = (0..70).map(|i| i % 5).collect();
    match op.name() {
        "max_pool_backward" => inputs[0] = pooled(geometry()).2,
        "max_pool_backward_disjoint" => inputs[0] = pooled(planted_fused::apart()).2,
        "max_pool_backward_all" => (inputs[0], inputs[1], _) = pooled(geometry()),
        "mse" => inputs[1] = labels,
        "cross_entropy" => {
            let logits = (0..350).map(|i| (0.3 * (i % 7) as f32 + 1.0).to_bits());
            inputs = vec![logits.collect(), labels];
        }
        "metrics" => {
            inputs[1] = vec![1f32.to_bits(); 350];
            inputs[2] = labels;
        }
        "mse_metrics" => (inputs[0], inputs[1]) = (vec![1f32.to_bits(); 350], labels),
        "cross_entropy_metrics" => {
            let logits = (0..350).map(|i| (0.3 * (i % 7) as f32 + 1.0).to_bits());
            (inputs[0], inputs[1]) = (logits.collect(), labels);
        }
        "conv_pool_backward_weight" => {
            let forward = ConvPoolForward {
                sizes: planted_fused::sizes((1, 1)),
                gathered: None,
            };
            let read = super::random_inputs(&forward, 11);
            let step = Step::new(0, 1, 0, 0.1);
            let indices = super::outputs_of(&forward, &read, &step).remove(1);
            let len = inputs[1].len();
            inputs[1] = indices.into_iter().cycle().take(len).collect();
        }
        "batch_norm_statistics" | "group_norm_statistics" => {
            // Small enough for eps to matter.
            let small = |i: usize| (0.125 * (i % 7) as f32).to_bits();
            let len = inputs[0].len();
            inputs = vec![(0..len).map(small).collect(); 2];
        }
        "batch_norm_infer" => inputs[2].iter_mut().for_each(|word| *word &= 0x7fff_ffff),
        "gather" => inputs[2] = (0..70).rev().collect(),
        "augment" | "mix_labels" => {
            inputs[1] = (0..70).rev().collect();
            let label = |at: usize| (at % 5) as u8;
            let word =
                |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| label(4 * at + byte)));
            if op.name() == "mix_labels" {
                inputs[0] = (0..18).map(word).collect();
            }
        }
        "gather_array" => inputs[1] = (0..70).rev().collect(),
        "sum_counts" => inputs[0].iter_mut().for_each(|count| *count %= 100),
        "soft_cross_entropy" => {
            let few = |at: usize| (0.25 * (at % 3) as f32).to_bits();
            inputs[0] = (0..700).map(few).collect();
            let is_hard = inputs[1].len() == 140;
            inputs[1] = match is_hard {
                true => (0..140).map(|at| at % 5).collect(),
                false => (0..700).map(|at| few(at + 3)).collect(),
            };
            inputs[2] = (0..5).map(|class| few(class + 1)).collect();
        }
        "relu_forward" | "activation_forward" => inputs[0][0] = (-f32::NAN).to_bits(),
        _ => {}
    }
    if op.launch().constants.contains(&("GATHERED", 1.0)) {
        read_from_the_data_set(op, &mut inputs);
    }
    inputs
}

/// Sets the sample order and the labels of a data set.
fn read_from_the_data_set(op: &dyn Op, inputs: &mut [Vec<u32>]) {
    let samples = planted_gathered::SAMPLES as u32;
    for (binding, input) in op.bindings().inputs.iter().zip(inputs) {
        match binding.name {
            "order" => *input = (0..samples).map(|i| (7 * i + 3) % samples).collect(),
            "labels" => {
                let label = |at: usize| (at % 5) as u8;
                let word = |at| u32::from_le_bytes([0, 1, 2, 3].map(|byte| label(4 * at + byte)));
                *input = (0..binding.words).map(word).collect();
            }
            _ => {}
        }
    }
}

/// Faults in one plan: a driver may keep a megabyte for each kernel until the device is dropped.
const TOGETHER: usize = 50;

#[test]
fn every_planted_fault_is_named_and_no_correct_op() {
    let Some(device) = common::gpu() else { return };
    let mut all = mutants(&device).into_iter();
    let mut missed = Vec::new();
    loop {
        let some: Vec<Planted> = all.by_ref().take(TOGETHER).collect();
        if some.is_empty() {
            break;
        }
        missed.extend(missed_of(&device, some));
    }
    assert!(missed.is_empty(), "not caught:\n{}", missed.join("\n"));
}

/// One plan with each op twice, correct and with a planted fault: verification must name no correct
/// one; returns the faults that it does not name.
fn missed_of(device: &Device, planted: Vec<Planted>) -> Vec<String> {
    let mut plan = Builder::new(false);
    let mut written = Vec::new();
    let mut add = |scope: String, op: Box<dyn Op>| {
        plan.set_scope(&scope);
        let outputs = op.bindings().outputs.into_iter();
        let before = outputs.map(|output| vec![1f32.to_bits(); output.words]);
        let words = inputs_of(op.as_ref()).into_iter().chain(before);
        let (inputs, outputs) = plan.tensors_of(op.as_ref()).unwrap();
        written.extend(inputs.iter().chain(&outputs).copied().zip(words));
        plan.boxed_op(Phase::Forward, op, &inputs, &outputs)
            .unwrap();
    };
    for (number, (_, op, from, to)) in planted.iter().enumerate() {
        add(format!("right{number}"), op.clone());
        add(format!("planted{number}"), mutant(op.clone(), from, to));
    }
    let reports = wgrad::block_on(async {
        let mut executor = device
            .clone()
            .without_spot_checks()
            .load(plan.finish())
            .await
            .unwrap();
        for (tensor, words) in written {
            executor.write_words(tensor, &words).unwrap();
        }
        let Executor::Gpu(gpu) = &mut executor else {
            panic!("the device is no adapter");
        };
        let step = Step::new(3, 66, 2, 0.1);
        let step = step.at(5, 700).seed(1 << 40 | 9).scalars([3.0, 2.0]);
        let step = step.augmenting(96);
        lockstep(gpu, &[Phase::Forward], &step).await.unwrap()
    });
    for report in &reports {
        let is_planted = report.tensor.starts_with("planted");
        assert!(
            is_planted || report.passes(),
            "a right op is named: {report:?}"
        );
    }
    let mut missed = Vec::new();
    for (number, (what, op, from, to)) in planted.into_iter().enumerate() {
        let scope = format!("planted{number}.");
        let mut own = reports
            .iter()
            .filter(|report| report.tensor.starts_with(&scope));
        let named = own.any(|report| !report.passes() && report.op == op.name());
        match named {
            true => println!("caught in {}: {what}", op.name()),
            false => missed.push(format!("{}: {what}: {from} → {to}", op.name())),
        }
    }
    missed
}
