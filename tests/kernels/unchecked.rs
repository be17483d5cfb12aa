//! The crate's kernels compiled with wgpu's run-time checks and without.

use wgrad::ops::FAMILIES;
use wgrad::ops::case::{Case, Floats, Random};
use wgrad::plan::{Builder, Phase};
use wgrad::{Device, block_on};

use crate::common;

/// All outputs of a case on `device`.
fn outputs(device: &Device, case: &Case) -> Vec<Vec<u32>> {
    let mut plan = Builder::new(false);
    let op = case.op.as_ref();
    let (read, written) = plan.tensors_of(op).unwrap();
    plan.boxed_op(Phase::Forward, op.boxed(), &read, &written)
        .unwrap();
    block_on(async {
        let mut executor = device.load(plan.finish()).await.unwrap();
        let words = case.inputs.iter().chain(&case.outputs);
        for (&tensor, words) in read.iter().chain(&written).zip(words) {
            executor.write_words(tensor, words).unwrap();
        }
        executor.run(&[Phase::Forward], &[case.step]).unwrap();
        let mut outputs = Vec::new();
        for &tensor in &written {
            outputs.push(executor.read_words(tensor).await.unwrap());
        }
        outputs
    })
}

/// Where kernels go without the checks, each gives the same bits as with them: no clamp, guard or
/// counter ever takes effect.
#[test]
fn kernels_give_the_same_bits_with_run_time_checks_and_without() {
    let Some(device) = common::gpu() else { return };
    let device = device.without_spot_checks();
    let [checked, unchecked] = [true, false].map(|on| device.clone().with_runtime_checks(on));
    if unchecked.adapter().unwrap().has_checks() {
        return; // The backend has one way to compile them.
    }
    let subgroups = device.adapter().unwrap().has_subgroups();
    let mut random = Random::new(11, Floats::Hostile);
    for (family, cases) in FAMILIES {
        for case in cases(&mut random) {
            if subgroups || !case.op.launch().needs_subgroups {
                let same = outputs(&checked, &case) == outputs(&unchecked, &case);
                assert!(same, "{family}: {:?}", case.op);
            }
        }
    }
}

#[test]
fn checks_can_be_turned_on_everywhere_and_off_on_vulkan() {
    let Some(device) = common::gpu() else { return };
    let has = |on| {
        let device = device.clone().with_runtime_checks(on);
        device.adapter().unwrap().has_checks()
    };
    let is_vulkan = device.adapter().unwrap().backend() == "vulkan";
    assert_eq!([has(true), has(false)], [true, !is_vulkan]);
}
