//! A plan loaded on a device: an adapter, or the CPU reference.

use std::sync::Arc;
use std::task::Poll;

use crate::error::{Error, Result};
use crate::ops::{Step, StepMetrics};
use crate::plan::{Phase, Plan, Port, STEPS_PER_RUN, TensorId, initial_parameters, initial_states};
use crate::{cpu, gpu};

/// The metrics of a run, possibly pending.
#[derive(Debug)]
pub struct Pending(Source);

#[derive(Debug)]
enum Source {
    Here(Vec<StepMetrics>),
    Gpu(gpu::PendingMetrics),
}

impl Pending {
    /// Waits for the metrics of each step; empty if the run had no loss phase.
    ///
    /// # Errors
    /// The device was lost or reported a fault meanwhile.
    pub async fn wait(self) -> Result<Vec<StepMetrics>> {
        match self.0 {
            Source::Here(metrics) => Ok(metrics),
            Source::Gpu(pending) => pending.wait().await,
        }
    }
}

/// Yields once, so that other tasks of the thread can run.
pub(crate) async fn others_first() {
    let mut is_first = true;
    std::future::poll_fn(|context| match std::mem::take(&mut is_first) {
        true => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
        false => Poll::Ready(()),
    })
    .await;
}

/// A plan's memory, and the means to run its phases.
#[derive(Debug)]
pub enum Executor {
    /// On an adapter.
    Gpu(gpu::Executor),
    /// On the CPU reference.
    Cpu(cpu::Executor),
}

impl Executor {
    /// The plan that it runs.
    pub fn plan(&self) -> &Arc<Plan> {
        match self {
            Executor::Gpu(executor) => executor.plan(),
            Executor::Cpu(executor) => executor.plan(),
        }
    }

    /// Runs `phases`, in the order given, for each of `steps`. On an adapter it returns before the
    /// work is done; waiting for the metrics waits for it.
    ///
    /// # Errors
    /// There are more than [`STEPS_PER_RUN`] steps, a step's slot, rows or samples are out of the
    /// plan's range, or the device was lost or had reported a fault.
    pub fn run(&mut self, phases: &[Phase], steps: &[Step]) -> Result<Pending> {
        self.check()?;
        self.check_steps(steps)?;
        let source = match self {
            Executor::Gpu(executor) => executor.run(phases, steps)?.map(Source::Gpu),
            Executor::Cpu(executor) => executor.run(phases, steps).map(Source::Here),
        };
        Ok(Pending(source.unwrap_or(Source::Here(Vec::new()))))
    }

    /// Like [`Executor::run`], without blocking the thread: on the CPU reference the steps run on
    /// other threads, and are complete when this returns. Dropping the future waits for them.
    ///
    /// # Errors
    /// As [`Executor::run`].
    pub(crate) async fn begin(&mut self, phases: &[Phase], steps: &[Step]) -> Result<Pending> {
        self.check_steps(steps)?;
        let Executor::Cpu(executor) = self else {
            return self.run(phases, steps);
        };
        let metrics = executor.run_aside(phases, steps).await;
        Ok(Pending(Source::Here(metrics.unwrap_or_default())))
    }

    /// Checks that the device is not lost.
    ///
    /// # Errors
    /// The device was lost or reported a fault.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Executor::Gpu(executor) => executor.check(),
            Executor::Cpu(_) => Ok(()),
        }
    }

    fn check_steps(&self, steps: &[Step]) -> Result<()> {
        let plan = self.plan();
        let rows = |port: Port| {
            let tensor = plan.port(port).ok()?;
            Some(plan.tensor(tensor).shape.dims()[0] as u64)
        };
        let (batch, samples) = (rows(Port::Logits), rows(Port::Order));
        let at_most = |what: &str, found: u64, most: Option<u64>| match most {
            Some(most) if found > most => Err(Error::value(
                format!("step's {what}"),
                format!("at most {most}"),
                found,
            )),
            _ => Ok(()),
        };
        at_most("number", steps.len() as u64, Some(STEPS_PER_RUN as u64))?;
        for step in steps {
            at_most("slot", step.slot.into(), Some(STEPS_PER_RUN as u64 - 1))?;
            at_most("rows", step.rows.into(), batch)?;
            at_most(
                "last sample",
                u64::from(step.offset) + u64::from(step.rows),
                samples,
            )?;
        }
        Ok(())
    }

    /// Overwrites a tensor with 32-bit words.
    ///
    /// # Errors
    /// The number of words differs from the tensor's; the tensor holds integers that only kernels
    /// write; a label or a sample number is out of range; or the device was lost or reported a
    /// fault.
    pub fn write_words(&mut self, tensor: TensorId, words: &[u32]) -> Result<()> {
        self.check()?;
        self.plan().check_words(tensor, words)?;
        self.write_bytes(tensor, 0, bytemuck::cast_slice(words).to_vec())
    }

    /// Overwrites a tensor from its byte `at` on; the caller has checked that these are whole words
    /// within the tensor.
    ///
    /// # Errors
    /// The device was lost or reported a fault.
    pub(crate) fn write_bytes(
        &mut self,
        tensor: TensorId,
        at: usize,
        bytes: Vec<u8>,
    ) -> Result<()> {
        match self {
            Executor::Gpu(executor) => executor.write_bytes(tensor, at, bytes)?,
            Executor::Cpu(executor) => {
                let words: &mut [u8] = bytemuck::cast_slice_mut(executor.words_mut(tensor));
                words[at..at + bytes.len()].copy_from_slice(&bytes);
            }
        }
        Ok(())
    }

    /// Overwrites a tensor with floats.
    ///
    /// # Errors
    /// The tensor holds integers, the number of floats differs from the tensor's, or the device was
    /// lost or reported a fault.
    pub fn write(&mut self, tensor: TensorId, values: &[f32]) -> Result<()> {
        self.plan().check_floats("writing", tensor)?;
        self.write_words(tensor, bytemuck::cast_slice(values))
    }

    /// Writes the plan's constants: nothing changes them later.
    ///
    /// # Errors
    /// As [`Executor::write`].
    pub(crate) fn write_constants(&mut self) -> Result<()> {
        let plan = self.plan().clone();
        let mut constants = plan.constants();
        constants.try_for_each(|(tensor, words)| self.write_words(tensor, words))
    }

    /// Draws the parameters from `seed`, as by [`initial_parameters`], and sets the states to their
    /// initial values.
    ///
    /// # Errors
    /// As [`Executor::write`].
    pub fn initialise(&mut self, seed: u64) -> Result<()> {
        let plan = self.plan().clone();
        let parameters = initial_parameters(&plan, seed)?;
        self.write(plan.port(Port::Parameters)?, &parameters)?;
        for (state, values) in initial_states(&plan) {
            self.write(state, &values)?;
        }
        Ok(())
    }

    /// The words of a tensor, once everything run so far is done.
    ///
    /// # Errors
    /// The device was lost or reported a fault.
    pub async fn read_words(&self, tensor: TensorId) -> Result<Vec<u32>> {
        self.plan().known(tensor)?;
        match self {
            Executor::Gpu(executor) => executor.read(tensor).await,
            Executor::Cpu(executor) => Ok(executor.words(tensor).to_vec()),
        }
    }

    /// The floats of a tensor, once everything run so far is done.
    ///
    /// # Errors
    /// The tensor holds integers, or the device was lost or reported a fault.
    pub async fn read(&self, tensor: TensorId) -> Result<Vec<f32>> {
        self.plan().check_floats("reading", tensor)?;
        let words = self.read_words(tensor).await?;
        Ok(bytemuck::cast_vec(words))
    }
}
