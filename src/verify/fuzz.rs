//! Every op in isolation, over random sizes and hostile inputs.

use super::compare::{OutputReport, check_node, on_gpu};
use super::lanes;
use crate::device::Device;
use crate::error::Result;
use crate::gpu::Adapter;
use crate::ops::case::{Case, Floats, Random};
use crate::ops::{DRAWN_TOGETHER, FAMILIES};
use crate::plan::{Builder, Phase};

/// `rounds` random cases of every op, named `gemm.3.0`: family, round, number. The same seed gives
/// the same cases on every machine.
pub fn cases(seed: u64, rounds: u32, floats: Floats) -> Vec<(String, Case)> {
    let mut together = Random::new(seed, floats);
    let apart = &FAMILIES[DRAWN_TOGETHER..];
    let mut apart: Vec<Random> = (apart.iter())
        .map(|(family, _)| Random::of_family(seed, floats, family))
        .collect();
    let mut cases = Vec::new();
    for round in 0..rounds {
        for (place, (family, draw)) in FAMILIES.iter().enumerate() {
            let own = place.checked_sub(DRAWN_TOGETHER);
            let random = own.map_or(&mut together, |own| &mut apart[own]);
            for (number, case) in draw(random).into_iter().enumerate() {
                cases.push((format!("{family}.{round}.{number}"), case));
            }
        }
    }
    cases
}

/// Runs `rounds` random cases of every op that the adapter can run, and compares each output.
///
/// # Errors
/// The device is not an adapter, was lost or reported a fault. A wrong result is not an error but a
/// report.
pub async fn fuzz(device: &Device, seed: u64, rounds: u32) -> Result<Vec<OutputReport>> {
    compare(device, cases(seed, rounds, Floats::Hostile)).await
}

/// Runs those of `cases` that the adapter can run, and compares each output.
pub(super) async fn compare(
    device: &Device,
    mut cases: Vec<(String, Case)>,
) -> Result<Vec<OutputReport>> {
    let subgroups = device.adapter().is_some_and(Adapter::has_subgroups);
    cases.retain(|(_, case)| subgroups || !case.op.launch().needs_subgroups);
    let parts = lanes::parts(device, cases);
    let reports = lanes::each(device, parts, |part| run(device, part)).await?;
    Ok(reports.into_iter().flatten().collect())
}

/// Runs some cases, in one plan.
async fn run(device: &Device, cases: Vec<(String, Case)>) -> Result<Vec<OutputReport>> {
    let mut plan = Builder::new(false);
    let (mut steps, mut written) = (Vec::new(), Vec::new());
    for (name, case) in cases {
        plan.set_scope(&name);
        let (inputs, outputs) = plan.tensors_of(case.op.as_ref())?;
        written.extend(inputs.iter().copied().zip(case.inputs));
        written.extend(outputs.iter().copied().zip(case.outputs));
        plan.boxed_op(Phase::Forward, case.op, &inputs, &outputs)?;
        steps.push(case.step);
    }
    let mut executor = device
        .clone()
        .without_spot_checks()
        .load(plan.finish())
        .await?;
    for (tensor, words) in written {
        executor.write_words(tensor, &words)?;
    }
    let plan = executor.plan().clone();
    let mut reports = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let checked = check_node(on_gpu(&mut executor)?, number, step).await?;
        let op = &plan.nodes()[number].op;
        reports.extend(checked.into_iter().map(|report| OutputReport {
            shape: format!("{op:?}"),
            ..report
        }));
    }
    Ok(reports)
}
