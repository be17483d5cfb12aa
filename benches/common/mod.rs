//! Shared by the benchmarks: training steps of two models on a data set of noise, and single ops.

#![allow(dead_code, reason = "not every benchmark measures everything")]

use std::time::{Duration, Instant};

use wgrad::executor::Executor;
use wgrad::graph::Graph;
use wgrad::nn::models;
use wgrad::nn::{Sequential, Training};
use wgrad::ops::{Op, Step};
use wgrad::plan::{Builder, Element, Phase, Plan, Port, Role, STEPS_PER_RUN, TensorId};
use wgrad::{Device, Loss, Reduction, Result, Sgd};

/// Samples in the data set, or the batch size if that is larger.
const SAMPLES: usize = 4096;

/// Small, so that training on noise never leads to subnormals, which are slow on CPUs.
const LEARNING_RATE: f32 = 1e-4;

/// A model to train.
pub struct Model {
    pub name: &'static str,
    /// The factor on the channels of its convolutions and on its hidden layer.
    pub width: usize,
    /// The batch size it is usually trained with.
    pub batch: usize,
    network: Sequential,
    loss: Loss,
}

/// The tutorial's network and the larger one, as in `benches/peer.rs`, made `width` times as wide.
pub fn models(width: usize) -> [Model; 2] {
    [
        Model {
            name: "tutorial",
            width,
            batch: 32,
            network: models::tutorial(width),
            loss: Loss::Mse(Reduction::Mean),
        },
        Model {
            name: "larger",
            width,
            batch: 64,
            network: models::larger(width),
            loss: Loss::CrossEntropy,
        },
    ]
}

impl Model {
    /// Its graph, including a data set.
    pub fn graph(&self, batch_size: usize) -> Result<Graph> {
        let training = Training::new([1, 28, 28], self.loss.clone(), Sgd::new(LEARNING_RATE))
            .batch_size(batch_size)
            .dataset(SAMPLES.max(batch_size))
            .accumulate(false);
        Graph::training(&self.network, &training)
    }
}

/// Loads the plan on `device`, with initial parameters, noise images and random labels.
pub async fn load(device: &Device, plan: Plan) -> Result<Executor> {
    let mut executor = device.load(plan).await?;
    let plan = executor.plan().clone();
    executor.initialise(0)?;
    let images = plan.port(Port::DatasetImages)?;
    executor.write_words(images, &noise(plan.tensor(images).words()))?;
    let labels = plan.port(Port::DatasetTargets)?;
    let digits = noise(plan.tensor(labels).words() * 4);
    let digits: Vec<u8> = digits.iter().map(|word| (word >> 24) as u8 % 10).collect();
    let words = digits.chunks_exact(4);
    let words: Vec<u32> = words
        .map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
        .collect();
    executor.write_words(labels, &words)?;
    let order = plan.port(Port::Order)?;
    let numbers: Vec<u32> = (0..plan.tensor(order).words() as u32).collect();
    executor.write_words(order, &numbers)?;
    Ok(executor)
}

/// Words of pseudo-random bits.
pub fn noise(words: usize) -> Vec<u32> {
    let mut state = 0u32;
    let words = (0..words).map(|_| {
        state = state.wrapping_add(0x9e37_79b9);
        let mixed = (state ^ (state >> 16)).wrapping_mul(0x85eb_ca6b);
        mixed ^ (mixed >> 13)
    });
    words.collect()
}

/// `count` training steps with whole batches.
pub fn steps(batch: usize, count: usize) -> Vec<Step> {
    let batches = SAMPLES.max(batch) / batch;
    let step = |i: usize| {
        let offset = i % batches * batch;
        Step::new(offset as u32, batch as u32, i as u32, LEARNING_RATE)
    };
    (0..count).map(step).collect()
}

/// Runs training steps and waits for their metrics.
pub async fn train(executor: &mut Executor, steps: &[Step]) -> Result<Duration> {
    let begun = Instant::now();
    executor.run(&Phase::TRAIN, steps)?.wait().await?;
    Ok(begun.elapsed())
}

/// A single op on a device.
pub struct Alone {
    executor: Executor,
    /// A word that is read to wait for all earlier work.
    done: TensorId,
    step: Step,
}

impl Alone {
    /// Loads `op` on `inputs`, to run `times` times per step.
    pub async fn new(
        device: &Device,
        op: Box<dyn Op>,
        inputs: &[Vec<u32>],
        step: Step,
        times: usize,
    ) -> Result<Self> {
        let mut plan = Builder::new(false);
        let (read, written) = plan.tensors_of(op.as_ref())?;
        let done = plan.tensor("done", [1], Element::U32, Role::Input)?;
        for _ in 0..times {
            plan.boxed_op(Phase::Forward, op.clone(), &read, &written)?;
        }
        // Results are not used, only timed.
        let unchecked = device.clone().without_spot_checks();
        let mut executor = unchecked.load(plan.finish()).await?;
        for (&tensor, words) in read.iter().zip(inputs) {
            executor.write_words(tensor, words)?;
        }
        let mut alone = Alone {
            executor,
            done,
            step,
        };
        // Completes the writes above, and the work that drivers defer until a kernel's first run.
        alone.run(1).await?;
        Ok(alone)
    }

    /// Runs `steps` steps in as few submits as possible, and waits for them.
    pub async fn run(&mut self, steps: usize) -> Result<Duration> {
        let begun = Instant::now();
        let all = vec![self.step; steps];
        for some in all.chunks(STEPS_PER_RUN) {
            self.executor.run(&[Phase::Forward], some)?;
        }
        self.executor.read_words(self.done).await?;
        Ok(begun.elapsed())
    }
}
