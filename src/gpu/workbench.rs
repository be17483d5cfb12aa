//! Times single ops on an adapter.

use std::sync::Arc;
use std::time::Duration;

use super::device::{Device, Opened};
use super::pipelines::Pipelines;
use super::{Adapter, Executor};
use crate::error::Result;
use crate::ops::{Op, Step};
use crate::plan::{Builder, Phase, Plan};

/// Runs of which the fastest counts: the others were disturbed.
const RUNS: usize = 3;

/// A dispatch longer than this many runs is timed only once.
const LONG: u32 = 4;

/// The most dispatches of one run.
const MOST_REPEATS: f64 = 256.0;

/// An adapter opened for measuring.
#[derive(Debug)]
pub(crate) struct Workbench {
    /// What is measured twice is compiled once.
    pub(super) pipelines: Arc<Pipelines>,
    pub(super) device: Opened,
}

impl Workbench {
    /// Opens `adapter`.
    ///
    /// # Errors
    /// A driver that refuses.
    pub async fn open(adapter: &Adapter) -> Result<Self> {
        Ok(Workbench::new(Device::with_large_buffers(adapter).await?))
    }

    /// Nothing is compiled yet.
    pub(super) fn new(device: Opened) -> Self {
        let pipelines = Arc::new(Pipelines::new(&device));
        device.keep(Arc::<Device>::clone(&device));
        device.keep(pipelines.clone());
        Workbench { device, pipelines }
    }

    /// A plan in the memory of the open device.
    ///
    /// # Errors
    /// Memory that runs out, a kernel that the driver refuses.
    pub async fn load(&self, plan: Plan) -> Result<Executor> {
        Executor::on(self.device.clone(), Arc::new(plan), self.pipelines.clone()).await
    }

    /// What takes long, on the device's thread.
    ///
    /// # Errors
    /// A thread that has ended.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        self.device.run(move || async move { job() }).await
    }

    /// Whether nothing went wrong on it.
    pub fn is_healthy(&self) -> bool {
        self.device.faults.check().is_ok()
    }

    /// Compiles all `ops`, where the driver allows at once; what it refuses is reported when it is timed.
    pub async fn compile(&self, ops: Vec<Box<dyn Op>>) {
        let (device, pipelines) = (Arc::clone(&self.device), self.pipelines.clone());
        let compile = move || async move {
            let ops = ops.iter().map(AsRef::as_ref);
            let _ = pipelines.compile_ahead(&device, ops).await;
        };
        let _ = self.device.run(compile).await;
    }

    /// How long one dispatch of `op` takes among others of its kind, on inputs of zeros: the fastest of
    /// three runs of `run` each, or one where that takes much longer.
    ///
    /// # Errors
    /// A kernel that the driver refuses, memory that runs out, a device that was lost.
    pub async fn time(&self, op: Box<dyn Op>, run: Duration) -> Result<Duration> {
        let step = Step::new(0, op.rows() as u32, 0, 0.0);
        let mut plan = Builder::new(false);
        let (inputs, outputs) = plan.tensors_of(op.as_ref())?;
        plan.boxed_op(Phase::Forward, op, &inputs, &outputs)?;
        let mut executor = self.load(plan.finish()).await?;
        executor.time_of(0, &step, run).await
    }
}

impl Executor {
    /// The time of one dispatch of each op of `phases`, by its place in the plan: the fastest of three runs
    /// of about a millisecond, among others of its kind.
    ///
    /// # Errors
    /// A device that was lost or reports a fault.
    pub async fn profile(
        &mut self,
        phases: &[Phase],
        step: &Step,
    ) -> Result<Vec<(usize, Duration)>> {
        let nodes: Vec<usize> = self.plan().nodes_of(phases).collect();
        let mut times = Vec::with_capacity(nodes.len());
        for node in nodes {
            times.push((
                node,
                self.time_of(node, step, Duration::from_millis(1)).await?,
            ));
        }
        Ok(times)
    }

    /// The fastest of three runs of `run` each, or one where that takes much longer.
    async fn time_of(&mut self, node: usize, step: &Step, run: Duration) -> Result<Duration> {
        // What drivers compile and clear at first use is not to be timed.
        self.touch_node(node, step)?;
        self.finish(self.plan().nodes()[node].outputs[0]).await?;
        let once = self.time_node(node, step, 1).await?;
        self.time_again(node, step, once, run).await
    }

    /// The same of an op that has run, and took `once`.
    ///
    /// # Errors
    /// A device that was lost or reports a fault.
    pub(crate) async fn time_again(
        &mut self,
        node: usize,
        step: &Step,
        once: Duration,
        run: Duration,
    ) -> Result<Duration> {
        if once >= LONG * run {
            return Ok(once);
        }
        let repeats = (run.as_secs_f64() / once.as_secs_f64().max(1e-7)).clamp(1.0, MOST_REPEATS);
        let mut fastest = once;
        for _ in 0..RUNS {
            let took = self.time_node(node, step, repeats as usize).await?;
            fastest = fastest.min(took.div_f64(repeats.floor()));
        }
        Ok(fastest)
    }

    /// Runs one op `repeats` times in one submit and waits for it; the time from the submit on.
    ///
    /// # Errors
    /// A device that was lost or reports a fault.
    pub(crate) async fn time_node(
        &mut self,
        node: usize,
        step: &Step,
        repeats: usize,
    ) -> Result<Duration> {
        self.time_nodes(vec![node; repeats], step).await
    }
}
