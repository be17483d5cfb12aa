//! The drift between the adapter and the reference when both train freely from one state.

use super::models::Subject;
use crate::device::Device;
use crate::error::Result;
use crate::executor::Executor;
use crate::ops::case::{Floats, Random};
use crate::ops::{Step, StepMetrics};
use crate::plan::{Phase, Port, STEPS_PER_RUN};

/// The distance between two trajectories.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drift {
    /// Steps that both took.
    pub steps: usize,
    /// The largest difference of a step's loss, relative to that loss.
    pub loss: f64,
    /// The largest difference of a parameter after the last step.
    pub parameters: f64,
    /// The largest parameter then, for comparison.
    pub largest_parameter: f64,
}

/// Trains `subject` for `steps` steps on random images, on `device` and on the CPU reference.
///
/// # Errors
/// The device was lost or reported a fault, or the plan exceeds its limits.
pub async fn drift(device: &Device, subject: &Subject, seed: u64, steps: usize) -> Result<Drift> {
    let ours = train(device, subject, seed, steps).await?;
    let reference = train(&Device::cpu(), subject, seed, steps).await?;
    let losses = ours.0.iter().zip(&reference.0);
    let loss = losses.map(|(ours, reference)| {
        (ours.loss_sum - reference.loss_sum).abs() / reference.loss_sum.abs()
    });
    let pairs = ours.1.iter().zip(&reference.1);
    let parameters = pairs.map(|(&ours, &reference)| f64::from((ours - reference).abs()));
    let magnitudes = reference.1.iter().map(|&p| f64::from(p.abs()));
    Ok(Drift {
        steps,
        loss: largest(loss),
        parameters: largest(parameters),
        largest_parameter: largest(magnitudes),
    })
}

/// The largest of `values`; infinite if one is NaN, which `f64::max` would ignore.
fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |largest, value| match value.is_nan() {
        true => f64::INFINITY,
        false => largest.max(value),
    })
}

/// The metrics of each step, and the parameters after the last.
async fn train(
    device: &Device,
    subject: &Subject,
    seed: u64,
    steps: usize,
) -> Result<(Vec<StepMetrics>, Vec<f32>)> {
    let batch = subject.training.batch_size;
    let mut executor = load(device, subject, seed, 8 * batch).await?;
    let rate = subject.training.optimizer.learning_rate();
    let mut phases = Phase::TRAIN.to_vec();
    phases.push(Phase::ZeroGrad);
    let mut metrics = Vec::new();
    for first in (0..steps).step_by(STEPS_PER_RUN) {
        let burst: Vec<Step> = (first..steps.min(first + STEPS_PER_RUN))
            .map(|i| {
                Step::new(
                    (i % 8 * batch) as u32,
                    batch as u32,
                    (i - first) as u32,
                    rate,
                )
                .at(0, i as u32)
                .scalars(subject.training.optimizer.scalars(i as u64))
            })
            .collect();
        metrics.extend(executor.run(&phases, &burst)?.wait().await?);
    }
    let arena = executor.plan().port(Port::Parameters)?;
    Ok((metrics, executor.read(arena).await?))
}

/// The model with its initial parameters and a data set of `samples` random images, a third of
/// whose pixels are black, in random order.
pub(super) async fn load(
    device: &Device,
    subject: &Subject,
    seed: u64,
    samples: usize,
) -> Result<Executor> {
    let plan = subject.plan(&subject.training.clone().dataset(samples))?;
    let classes = plan.tensor(plan.port(Port::Logits)?).shape.dims()[1];
    let mut executor = device.clone().without_spot_checks().load(plan).await?;
    executor.initialise(seed)?;
    let plan = executor.plan().clone();
    let mut random = Random::new(seed, Floats::Hostile);
    let mut bytes = |name: &str, draw: &mut dyn FnMut(&mut Random) -> u8| {
        let tensor = plan.find(name)?;
        let words = 0..plan.tensor(tensor).words();
        let words: Vec<u32> = words
            .map(|_| u32::from_le_bytes([(); 4].map(|()| draw(&mut random))))
            .collect();
        executor.write_words(tensor, &words)
    };
    bytes("dataset.images", &mut |random| match random.below(3) {
        0 => 0,
        _ => random.below(256) as u8,
    })?;
    bytes("dataset.labels", &mut |random| random.below(classes) as u8)?;
    let order = random.permutation(samples);
    executor.write_words(plan.port(Port::Order)?, &order)?;
    Ok(executor)
}
