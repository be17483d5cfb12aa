//! Holds a plan's memory and runs its phases. It knows nothing of convolutions or layers.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::answer::question;
use super::device::{Device, Opened, check_kernels, required_limits};
use super::loaded::Loaded;
use super::pipelines::Pipelines;
use super::readback::{Reading, Words};
use super::{Adapter, Workbench};
use crate::error::Result;
use crate::ops::{Step, StepMetrics};
use crate::plan::{Phase, Plan, STEPS_PER_RUN, TensorId};

/// A plan on an adapter.
#[derive(Debug)]
pub struct Executor {
    pub(super) loaded: Arc<Loaded>,
    /// Dropped after the loaded plan, so that the threads end with it.
    opened: Opened,
}

impl Executor {
    /// Opens the adapter and creates every buffer, pipeline and bind group of the plan. Reuses the
    /// device and pipelines left over from tuning, if any.
    ///
    /// # Errors
    /// The plan exceeds a limit, memory ran out, or the driver refused a kernel.
    pub async fn new(adapter: &Adapter, plan: Arc<Plan>) -> Result<Self> {
        let limits = required_limits(adapter, &plan)?;
        check_kernels(adapter, &plan)?;
        let Workbench { device, pipelines } = match adapter.take_spare() {
            Some(bench) => bench,
            None => Workbench::new(Device::with_limits(adapter, limits).await?),
        };
        Executor::on(device, plan, pipelines).await
    }

    /// Creates every buffer and bind group of the plan on an open device, and the missing
    /// pipelines.
    ///
    /// # Errors
    /// As [`Executor::new`].
    pub(super) async fn on(
        device: Opened,
        plan: Arc<Plan>,
        pipelines: Arc<Pipelines>,
    ) -> Result<Self> {
        device.faults.check()?;
        let own = Arc::clone(&device);
        let make = move || async move {
            let loaded = Arc::new(Loaded::make(own.clone(), plan, pipelines).await?);
            own.keep(loaded.clone());
            Ok(loaded)
        };
        let loaded = device.run(make).await?;
        Ok(Executor {
            loaded: loaded?,
            opened: device,
        })
    }

    /// The plan that it runs.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.loaded.plan
    }

    pub(super) fn opened(&self) -> &Arc<Device> {
        &self.opened
    }

    /// The wgpu device, for queries.
    pub fn device(&self) -> &wgpu::Device {
        &self.opened().device
    }

    /// Destroys the device, to simulate a driver reset: every later call returns
    /// [`DeviceLost`](crate::Error::DeviceLost).
    pub fn destroy_device(&self) {
        self.opened().destroy();
    }

    /// Whether the device is there, and has reported no fault.
    ///
    /// # Errors
    /// The device was lost or reported a fault.
    pub(crate) fn check(&self) -> Result<()> {
        self.opened().check()
    }

    /// Overwrites a tensor from its byte `at` on; the caller has checked that these are whole words
    /// within the tensor. The write is ordered with submissions, and so may happen after this
    /// returns.
    ///
    /// # Errors
    /// The device was lost or reported a fault.
    pub(crate) fn write_bytes(
        &mut self,
        tensor: TensorId,
        at: usize,
        bytes: Vec<u8>,
    ) -> Result<()> {
        self.check()?;
        let loaded = self.loaded.clone();
        self.opened()
            .call(move || loaded.write(tensor, at as u64, &bytes));
        Ok(())
    }

    /// Fills each of `tensors` by repeating its pattern, a tensor in another buffer; ordered with
    /// submissions.
    ///
    /// # Errors
    /// The device was lost or reported a fault.
    pub(crate) fn repeat(&mut self, tensors: Vec<(TensorId, TensorId)>) -> Result<()> {
        self.check()?;
        if tensors.is_empty() {
            return Ok(());
        }
        let loaded = self.loaded.clone();
        self.opened().call(move || loaded.repeat(&tensors));
        Ok(())
    }

    /// The words of a tensor, once everything submitted so far is done.
    ///
    /// # Errors
    /// The device was lost or reported a fault.
    pub(crate) async fn read(&self, tensor: TensorId) -> Result<Vec<u32>> {
        let end = self.plan().tensor(tensor).words();
        let all = Range { start: 0, end };
        Ok(self.read_ranges(tensor, vec![all], None).await?.words)
    }

    /// The words of a tensor at `places`, once everything submitted so far is done.
    ///
    /// # Errors
    /// As [`Executor::read`].
    pub(crate) async fn pick(&self, tensor: TensorId, places: &[usize]) -> Result<Vec<u32>> {
        let ranges = places.iter().map(|&place| place..place + 1).collect();
        Ok(self.read_ranges(tensor, ranges, None).await?.words)
    }

    /// Waits for everything submitted so far, at little cost: reads one word of a tensor.
    ///
    /// # Errors
    /// As [`Executor::read`].
    pub(crate) async fn finish(&self, tensor: TensorId) -> Result<()> {
        self.pick(tensor, &[0]).await.map(drop)
    }

    /// The time from submitting `nodes`, by index in the plan, to their completion.
    ///
    /// # Errors
    /// As [`Executor::read`].
    pub(super) async fn time_nodes(&self, nodes: Vec<usize>, step: &Step) -> Result<Duration> {
        let Some(&last) = nodes.last() else {
            return Ok(Duration::ZERO);
        };
        let output = self.plan().nodes()[last].outputs[0];
        let first = Range { start: 0, end: 1 };
        let read = self.read_ranges(output, vec![first], Some((nodes, *step)));
        Ok(read.await?.took)
    }

    async fn read_ranges(
        &self,
        tensor: TensorId,
        ranges: Vec<Range<usize>>,
        nodes: Option<(Vec<usize>, Step)>,
    ) -> Result<Words> {
        self.check()?;
        let (asked, answer) = question();
        let loaded = self.loaded.clone();
        let read = move || async move {
            let nodes = nodes.as_ref().map(|(nodes, step)| (nodes.as_slice(), step));
            loaded.read(tensor, &ranges, nodes, asked).await
        };
        if let Err(error) = self.opened().run(read).await? {
            return Err(self.opened().cause(error).await);
        }
        let device = self.opened().clone();
        Reading { answer, device }.get().await
    }

    /// Submits `phases` for each of `steps`, and requests the metrics if a phase computes them.
    /// Returns before the adapter is done.
    ///
    /// # Errors
    /// The device was lost or had reported a fault.
    pub(crate) fn run(
        &mut self,
        phases: &[Phase],
        steps: &[Step],
    ) -> Result<Option<PendingMetrics>> {
        self.check()?;
        let nodes: Vec<usize> = self.plan().nodes_of(phases).collect();
        let (loaded, own) = (self.loaded.clone(), steps.to_vec());
        let tables = self.plan().metrics();
        let Some(tables) = tables.filter(|_| phases.contains(&Phase::Loss)) else {
            self.opened().call(move || loaded.submit(&nodes, &own));
            return Ok(None);
        };
        let (asked, answer) = question();
        self.opened()
            .call(move || loaded.submit_and_answer(&nodes, &own, tables, asked));
        let device = self.opened().clone();
        Ok(Some(PendingMetrics {
            reading: Reading { answer, device },
            steps: steps.to_vec(),
            counts: tables.correct.is_some(),
        }))
    }

    /// Submits one op of the plan, by its index in [`Plan::nodes`], for one step.
    ///
    /// # Errors
    /// The device was lost or had reported a fault.
    pub fn run_node(&mut self, node: usize, step: &Step) -> Result<()> {
        self.run_nodes(&[node], step)
    }

    /// Submits `nodes` for one step, in that order.
    ///
    /// # Errors
    /// As [`Executor::run_node`].
    pub(crate) fn run_nodes(&mut self, nodes: &[usize], step: &Step) -> Result<()> {
        self.check()?;
        let (loaded, nodes, step) = (self.loaded.clone(), nodes.to_vec(), *step);
        self.opened().call(move || loaded.submit(&nodes, &[step]));
        Ok(())
    }

    /// Submits the first workgroup of one op.
    ///
    /// # Errors
    /// As [`Executor::run_node`].
    pub(crate) fn warm_up_node(&mut self, node: usize, step: &Step) -> Result<()> {
        self.check()?;
        let (loaded, step) = (self.loaded.clone(), *step);
        self.opened().call(move || loaded.touch(node, &step));
        Ok(())
    }
}

/// The pending metrics of the steps of one run.
#[derive(Debug)]
pub(crate) struct PendingMetrics {
    reading: Reading,
    steps: Vec<Step>,
    /// Whether correct predictions were counted.
    counts: bool,
}

impl PendingMetrics {
    /// Waits for them.
    ///
    /// # Errors
    /// The device was lost or reported a fault meanwhile.
    pub async fn wait(self) -> Result<Vec<StepMetrics>> {
        let read = self.reading.get().await?;
        let (loss_sums, correct) = read.words.split_at(STEPS_PER_RUN);
        let correct = self.counts.then_some(correct);
        let steps = self.steps.iter();
        Ok(steps
            .map(|step| StepMetrics::from_words(step, loss_sums, correct))
            .collect())
    }
}
