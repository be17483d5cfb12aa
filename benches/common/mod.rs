//! Shared by the benchmarks: training steps of some models on a data set of noise, and single ops.

#![allow(dead_code, reason = "not every benchmark measures everything")]

use std::time::{Duration, Instant};

use wgrad::executor::Executor;
use wgrad::graph::{Graph, Module};
use wgrad::nn::Training;
use wgrad::nn::models::{self, ResNet};
use wgrad::ops::{Op, Step, Variant};
use wgrad::plan::{Builder, Element, Phase, Plan, Port, Role, STEPS_PER_RUN, TensorId};
use wgrad::{Device, Loss, Reduction, Result, Sgd};

/// Samples in the data set, or the batch size if that is larger.
const SAMPLES: usize = 4096;

/// Small, so that training on noise never leads to subnormals, which are slow on CPUs.
const LEARNING_RATE: f32 = 1e-4;

/// A model to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Model {
    // The aliases are earlier names of the networks.
    #[value(alias = "seed")]
    Tutorial,
    #[value(alias = "big")]
    Larger,
    Lenet5,
    Resnet8,
    Resnet20,
}

impl Model {
    /// The models of the criterion benchmarks.
    pub const USUAL: [Model; 2] = [Model::Tutorial, Model::Larger];

    pub fn name(self) -> &'static str {
        match self {
            Model::Tutorial => "tutorial",
            Model::Larger => "larger",
            Model::Lenet5 => "lenet5",
            Model::Resnet8 => "resnet8",
            Model::Resnet20 => "resnet20",
        }
    }

    /// The batch size it is usually trained with.
    pub fn batch(self) -> usize {
        match self {
            Model::Tutorial => 32,
            _ => 64,
        }
    }

    /// Whether its channels and its hidden layer can be made several times as wide.
    pub fn has_widths(self) -> bool {
        matches!(self, Model::Tutorial | Model::Larger)
    }

    /// For one channel and ten classes.
    pub fn network(self, width: usize) -> Box<dyn Module> {
        match self {
            Model::Tutorial => Box::new(models::tutorial(width)),
            Model::Larger => Box::new(models::larger(width)),
            Model::Lenet5 => Box::new(models::lenet5(1, 10)),
            Model::Resnet8 => Box::new(ResNet::eight(1, 10)),
            Model::Resnet20 => Box::new(ResNet::twenty(1, 10)),
        }
    }

    /// Its graph on images of 28×28, including a data set.
    pub fn graph(self, width: usize, batch_size: usize) -> Result<Graph> {
        let loss = match self {
            Model::Tutorial => Loss::Mse(Reduction::Mean),
            _ => Loss::CrossEntropy,
        };
        let training = Training::new([1, 28, 28], loss, Sgd::new(LEARNING_RATE))
            .batch_size(batch_size)
            .dataset(SAMPLES.max(batch_size))
            .accumulate(false);
        Graph::training(&*self.network(width), &training)
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

/// The kernels of an op: its own, if there is no choice.
pub fn kernels_of(op: &dyn Op) -> Vec<Variant> {
    let mut variants = op.variants();
    if variants.is_empty() {
        variants.push(Variant {
            name: op.name().to_owned(),
            op: op.boxed(),
        });
    }
    variants
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
