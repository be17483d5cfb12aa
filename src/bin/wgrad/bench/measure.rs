//! Training steps of a model on a device, and their breakdown by kernel.

use std::time::{Duration, Instant};

use wgrad::executor::Executor;
use wgrad::ops::{Cost, Step};
use wgrad::plan::{Figures, Phase, Plan, Role};
use wgrad::tune::{self, Effort};
use wgrad::{Device, Notices, Result, cpu};

use super::workload::{self, Model};
use crate::common::complain;

/// Bursts of steps; the median is reported.
const BURSTS: f64 = 5.0;

/// Maximum readings of an op's time.
const READINGS: usize = 100;

/// The plan, and the time per measurement.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// The tuning effort of the fused plan; `None` for the readable plan.
    pub fused: Option<Effort>,
    /// Seconds per measurement.
    pub seconds: f64,
}

/// The clock of the kernel times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The adapter's, around each op of a step.
    Timestamps,
    /// The host's, around many dispatches of the same op.
    Repeats,
    /// The host's, around each op's reference.
    Reference,
}

/// A kernel's share of a training step, all its calls together.
#[derive(Debug)]
pub struct KernelTime {
    pub name: &'static str,
    pub calls: usize,
    pub time: Duration,
    pub cost: Cost,
}

/// Training steps of one model with one batch size.
#[derive(Debug)]
pub struct Training {
    pub batch: usize,
    /// The time per step, in the median burst.
    pub step: Duration,
    /// The time per step that the device's ceilings and the plan's costs predict, if known.
    pub predicted: Option<Duration>,
    pub dispatches: usize,
    /// The plan's size in bytes, without the data set.
    pub bytes: usize,
    /// The total of all ops of a step.
    pub cost: Cost,
    pub clock: Clock,
    /// By descending time.
    pub kernels: Vec<KernelTime>,
}

impl Training {
    pub fn images_per_second(&self) -> f64 {
        self.batch as f64 / self.step.as_secs_f64()
    }

    /// The sum of all ops of a step, timed separately.
    pub fn kernel_time(&self) -> Duration {
        self.kernels.iter().map(|kernel| kernel.time).sum()
    }
}

/// GFLOP/s and GB/s.
pub fn rates(cost: Cost, time: Duration) -> [f64; 2] {
    let nanoseconds = (time.as_secs_f64() * 1e9).max(1e-9);
    [cost.flop, cost.bytes].map(|amount| amount as f64 / nanoseconds)
}

/// Measures training steps, then their kernels; `figures` are the device's, if known.
pub async fn training(
    device: &Device,
    model: Model,
    width: usize,
    batch: usize,
    how: How,
    figures: Option<Figures>,
) -> Result<Training> {
    let graph = model.graph(width, batch)?;
    let mut plan = graph.readable()?;
    if let Some(effort) = how.fused {
        let mut notices = Notices::default();
        let mut choices = tune::choose(device, &graph, effort, &mut notices).await?;
        plan = choices.apply(device, &graph, &mut notices)?;
        for notice in notices.iter() {
            complain(format_args!("Notice: {notice}"));
        }
    }
    let nodes: Vec<usize> = plan.nodes_of(&Phase::TRAIN).collect();
    let bytes = bytes_without_data(&plan);
    let mut executor = workload::load(device, plan).await?;
    let step = step_time(&mut executor, batch, how.seconds).await?;
    let (clock, times) = op_times(&mut executor, batch, how.seconds).await?;
    let plan = executor.plan();
    let mut cost = Cost::default();
    for &node in &nodes {
        add(&mut cost, plan.nodes()[node].op.cost());
    }
    Ok(Training {
        batch,
        step,
        predicted: figures.map(|figures| plan.predicted_time(&Phase::TRAIN, &figures)),
        dispatches: nodes.len(),
        bytes,
        cost,
        clock,
        kernels: by_kernel(plan, &times),
    })
}

fn bytes_without_data(plan: &Plan) -> usize {
    let data = plan.tensors().iter();
    let data = data.filter(|tensor| tensor.role == Role::Dataset);
    let data: usize = data.map(wgrad::plan::Tensor::words).sum();
    4 * (plan.words() - data)
}

/// The time per step, in the median burst.
async fn step_time(executor: &mut Executor, batch: usize, seconds: f64) -> Result<Duration> {
    let one = workload::steps(batch, 1);
    let first = workload::train(executor, &one).await?;
    // Only the reference's first step is representative: drivers defer work until a kernel's first
    // run.
    if matches!(executor, Executor::Cpu(_)) && first.as_secs_f64() > seconds {
        return Ok(first);
    }
    let once = workload::train(executor, &one).await?;
    if once.as_secs_f64() > seconds {
        return Ok(once);
    }
    let once = once.as_secs_f64();
    let count = (seconds / BURSTS / once.max(1e-7)).clamp(1.0, 256.0) as usize;
    let steps = workload::steps(batch, count);
    let (begun, mut bursts) = (Instant::now(), Vec::new());
    while begun.elapsed().as_secs_f64() < seconds {
        bursts.push(workload::train(executor, &steps).await? / count as u32);
    }
    Ok(median(&mut bursts))
}

/// The time of each op of a step, with its index in the plan.
async fn op_times(
    executor: &mut Executor,
    batch: usize,
    seconds: f64,
) -> Result<(Clock, Vec<(usize, Duration)>)> {
    let step = workload::steps(batch, 1)[0];
    let gpu = match executor {
        Executor::Cpu(cpu) => return Ok((Clock::Reference, reference_times(cpu, &step))),
        Executor::Gpu(gpu) => gpu,
    };
    let begun = Instant::now();
    let mut readings: Vec<Vec<(usize, Duration)>> = Vec::new();
    while readings.is_empty()
        || (begun.elapsed().as_secs_f64() < seconds && readings.len() < READINGS)
    {
        match gpu.time_ops(&Phase::TRAIN, &step).await? {
            Some(times) => readings.push(times),
            None => return Ok((Clock::Repeats, gpu.profile(&Phase::TRAIN, &step).await?)),
        }
    }
    let mut times = readings[0].clone();
    for (place, (_, time)) in times.iter_mut().enumerate() {
        let mut all: Vec<Duration> = readings.iter().map(|reading| reading[place].1).collect();
        *time = median(&mut all);
    }
    Ok((Clock::Timestamps, times))
}

fn reference_times(executor: &mut cpu::Executor, step: &Step) -> Vec<(usize, Duration)> {
    let nodes: Vec<usize> = executor.plan().nodes_of(&Phase::TRAIN).collect();
    let times = nodes.into_iter().map(|node| {
        let begun = Instant::now();
        executor.run_node(node, step);
        (node, begun.elapsed())
    });
    times.collect()
}

fn by_kernel(plan: &Plan, times: &[(usize, Duration)]) -> Vec<KernelTime> {
    let mut kernels: Vec<KernelTime> = Vec::new();
    for &(node, time) in times {
        let op = &plan.nodes()[node].op;
        let name = op.name();
        let place = kernels.iter().position(|kernel| kernel.name == name);
        let place = place.unwrap_or_else(|| {
            kernels.push(KernelTime {
                name,
                calls: 0,
                time: Duration::ZERO,
                cost: Cost::default(),
            });
            kernels.len() - 1
        });
        let kernel = &mut kernels[place];
        kernel.calls += 1;
        kernel.time += time;
        add(&mut kernel.cost, op.cost());
    }
    kernels.sort_by_key(|kernel| std::cmp::Reverse(kernel.time));
    kernels
}

fn add(sum: &mut Cost, cost: Cost) {
    sum.flop += cost.flop;
    sum.bytes += cost.bytes;
}

/// The median of at least one time.
fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}
