//! The verification report of an adapter.

use super::compare::{OutputReport, lockstep, on_gpu};
use super::drift::load;
use super::{
    Drift, GradientReport, NetworkReport, Subject, built_in, differentiate, drift, fuzz, lanes,
    large, long_networks, networks,
};
use crate::device::Device;
use crate::error::Result;
use crate::executor::Executor;
use crate::ops::Step;
use crate::ops::case::{Floats, Random};
use crate::plan::{Phase, Port};

/// How much to verify.
#[derive(Debug, Clone)]
pub struct Options {
    /// Seed of sizes, inputs and parameters.
    pub seed: u64,
    /// Random cases of each op.
    pub rounds: u32,
    /// Steps of the free-running trajectories.
    pub steps: usize,
    /// Random networks of large sizes, each of which takes seconds on a software adapter, and as
    /// many of many layers.
    pub networks: usize,
    /// The least number of layers of the latter.
    pub layers: usize,
}

impl Default for Options {
    /// About a minute's work for a software adapter on two cores.
    fn default() -> Self {
        Options {
            seed: 0,
            rounds: 2,
            steps: 10,
            networks: 2,
            layers: 10,
        }
    }
}

impl Options {
    /// More cases, including other sizes, which take minutes there.
    pub fn thorough() -> Self {
        Options {
            rounds: 12,
            steps: 100,
            networks: 4,
            layers: 20,
            ..Options::default()
        }
    }
}

/// The report of a model on an adapter.
#[derive(Debug, Clone)]
pub struct ModelReport {
    /// The model's name.
    pub name: String,
    /// Each output of each op, on digits-like and on hostile inputs.
    pub outputs: Vec<OutputReport>,
    /// The drift of the free-running trajectories.
    pub drift: Drift,
}

impl ModelReport {
    /// Whether every output is within its bound.
    pub fn passes(&self) -> bool {
        self.outputs.iter().all(OutputReport::passes)
    }
}

/// The results of verification on one adapter.
#[derive(Debug, Clone)]
pub struct Report {
    /// The adapter: name, backend, driver, kind.
    pub adapter: String,
    /// Every op in isolation, over random sizes.
    pub ops: Vec<OutputReport>,
    /// Every gradient against central differences.
    pub gradients: Vec<GradientReport>,
    /// The built-in models, op by op.
    pub models: Vec<ModelReport>,
    /// Every op at sizes where drivers cut loops short, by single elements.
    pub large: Vec<OutputReport>,
    /// Random networks of large sizes, every op by single elements.
    pub networks: Vec<NetworkReport>,
    /// Random networks of many layers, two training steps of each op by op.
    pub long: Vec<NetworkReport>,
}

impl Report {
    /// Whether every output and every gradient is within its bound.
    pub fn passes(&self) -> bool {
        let mut outputs = self.ops.iter().chain(&self.large);
        outputs.all(OutputReport::passes)
            && self.models.iter().all(ModelReport::passes)
            && self.networks.iter().all(NetworkReport::passes)
            && self.long.iter().all(NetworkReport::passes)
            && self.gradients.iter().all(GradientReport::passes)
    }
}

/// Verifies every op in isolation, every gradient, and every op of the built-in models. Except on
/// GL and in a browser, it runs on threads of its own, for which the calling thread waits.
///
/// # Errors
/// The device is not an adapter, was lost or reported a fault. A wrong result is not an error but a
/// report.
pub async fn adapter(device: &Device, options: &Options) -> Result<Report> {
    let verify = |subject: Subject| async move { model(device, &subject, options).await };
    let models = lanes::each(device, built_in(), verify).await?;
    Ok(Report {
        adapter: device.to_string(),
        ops: fuzz(device, options.seed, options.rounds).await?,
        gradients: differentiate(device, options.seed, options.rounds).await?,
        models,
        large: large(device).await?,
        networks: networks(device, options.seed, options.networks).await?,
        long: long_networks(device, options.seed, options.networks, options.layers).await?,
    })
}

/// Verifies a model op by op over two steps: one on a partial gathered batch, one on a full batch
/// with some hostile parameters and, if the plan has a batch of floats, hostile images. Then trains
/// it to measure the drift.
///
/// # Errors
/// As [`adapter`].
pub async fn model(device: &Device, subject: &Subject, options: &Options) -> Result<ModelReport> {
    let batch = subject.training.batch_size as u32;
    let mut executor = load(device, subject, options.seed, 2 * batch as usize).await?;
    let plan = executor.plan().clone();
    let rate = subject.training.optimizer.learning_rate();
    let mut phases = Phase::TRAIN.to_vec();
    phases.push(Phase::ZeroGrad);

    let scalars = |number| subject.training.optimizer.scalars(number);
    let partial = Step::new(batch, batch.div_ceil(2), 1, rate).scalars(scalars(0));
    let mut outputs = lockstep(on_gpu(&mut executor)?, &phases, &partial).await?;

    let mut random = Random::new(options.seed, Floats::Hostile);
    if let Ok(images) = plan.port(Port::Images) {
        executor.write_words(images, &random.floats(plan.tensor(images).words()))?;
        // The gather would overwrite them.
        phases.retain(|&phase| phase != Phase::Gather);
    }
    disturb(&mut executor, &mut random).await?;
    let full = Step::new(0, batch, 2, rate).at(0, 1).scalars(scalars(1));
    outputs.extend(lockstep(on_gpu(&mut executor)?, &phases, &full).await?);
    // Where inference has ops of its own.
    if plan
        .nodes()
        .iter()
        .any(|node| node.phases == [Phase::Infer])
    {
        outputs.extend(lockstep(on_gpu(&mut executor)?, &[Phase::Infer], &full).await?);
    }
    Ok(ModelReport {
        name: subject.name.clone(),
        outputs,
        drift: drift(device, subject, options.seed, options.steps).await?,
    })
}

/// Makes every third parameter hostile.
pub(super) async fn disturb(executor: &mut Executor, random: &mut Random) -> Result<()> {
    let arena = executor.plan().port(Port::Parameters)?;
    let mut parameters = executor.read_words(arena).await?;
    let hostile = random.floats(parameters.len());
    for (parameter, hostile) in parameters.iter_mut().zip(hostile).step_by(3) {
        // Larger values would grow with every layer, beyond f32 in a deep model; `fuzz` has them.
        *parameter = f32::from_bits(hostile).clamp(-1.0, 1.0).to_bits();
    }
    executor.write_words(arena, &parameters)
}
