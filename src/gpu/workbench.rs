//! Times single ops on an adapter.

use std::sync::Arc;
use std::time::Duration;

use super::device::{Device, Opened};
use super::pipelines::Pipelines;
use super::{Adapter, Executor};
use crate::error::Result;
use crate::ops::{Op, Step};
use crate::plan::{Builder, Phase, Plan};

/// The fastest of this many runs counts, since interruptions only slow a run down.
const RUNS: usize = 3;

/// A dispatch longer than this many runs is timed only once.
const LONG: u32 = 4;

/// Maximum dispatches per run.
const MOST_REPEATS: f64 = 256.0;

/// An adapter opened for measuring.
#[derive(Debug)]
pub(crate) struct Workbench {
    /// Kept so that kernels measured twice are compiled once.
    pub(super) pipelines: Arc<Pipelines>,
    pub(super) device: Opened,
}

impl Workbench {
    /// Opens `adapter`.
    ///
    /// # Errors
    /// The driver refused to open a device.
    pub async fn open(adapter: &Adapter) -> Result<Self> {
        Ok(Workbench::new(Device::with_large_buffers(adapter).await?))
    }

    /// A bench without compiled pipelines.
    pub(super) fn new(device: Opened) -> Self {
        let pipelines = Arc::new(Pipelines::new(&device));
        device.keep(Arc::<Device>::clone(&device));
        device.keep(pipelines.clone());
        Workbench { device, pipelines }
    }

    /// Loads a plan on the open device.
    ///
    /// # Errors
    /// Memory ran out, or the driver refused a kernel.
    pub async fn load(&self, plan: Plan) -> Result<Executor> {
        Executor::on(self.device.clone(), Arc::new(plan), self.pipelines.clone()).await
    }

    /// Runs a job that takes long on the device's thread.
    ///
    /// # Errors
    /// The thread has ended.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        self.device.run(move || async move { job() }).await
    }

    /// Whether it has reported no fault.
    pub fn is_healthy(&self) -> bool {
        self.device.faults.check().is_ok()
    }

    /// Compiles all `ops`, in parallel if the driver allows it; a refused kernel is reported when
    /// timed.
    pub async fn compile(&self, ops: Vec<Box<dyn Op>>) {
        let (device, pipelines) = (Arc::clone(&self.device), self.pipelines.clone());
        let compile = move || async move {
            let ops = ops.iter().map(AsRef::as_ref);
            let _ = pipelines.compile_ahead(&device, ops).await;
        };
        let _ = self.device.run(compile).await;
    }

    /// The time of one dispatch of `op` among repeated ones, on inputs of zeros: the fastest of
    /// three runs of `run` each, or a single one if that takes much longer.
    ///
    /// # Errors
    /// The driver refused the kernel, memory ran out, or the device was lost.
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
    /// The time of one dispatch of each op of `phases` among repeated ones, by its index in the
    /// plan: the fastest of three runs of about a millisecond.
    ///
    /// # Errors
    /// The device was lost or reported a fault.
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

    /// The fastest of three runs of `run` each, or a single one if that takes much longer.
    async fn time_of(&mut self, node: usize, step: &Step, run: Duration) -> Result<Duration> {
        // Exclude compilation and clearing at first use from the timing.
        self.warm_up_node(node, step)?;
        self.finish(self.plan().nodes()[node].outputs[0]).await?;
        let once = self.time_node(node, step, 1).await?;
        self.time_again(node, step, once, run).await
    }

    /// Times an op whose earlier run took `once`.
    ///
    /// # Errors
    /// The device was lost or reported a fault.
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

    /// Runs one op `repeats` times in one submit; returns the time from the submit to its
    /// completion.
    ///
    /// # Errors
    /// The device was lost or reported a fault.
    pub(crate) async fn time_node(
        &mut self,
        node: usize,
        step: &Step,
        repeats: usize,
    ) -> Result<Duration> {
        self.time_nodes(vec![node; repeats], step).await
    }
}
