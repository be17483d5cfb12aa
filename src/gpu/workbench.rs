//! Times single ops on an adapter.

use std::sync::Arc;
use std::time::Duration;

use web_time::Instant;

use super::device::Device;
use super::{Adapter, Executor};
use crate::error::Result;
use crate::ops::{Op, Step};
use crate::plan::{Builder, Element, Phase, Plan, Role};

/// Runs of which the fastest counts: the others were disturbed.
const RUNS: usize = 3;

/// The most dispatches of one run.
const MOST_REPEATS: f64 = 256.0;

/// An adapter opened for measuring.
#[derive(Debug)]
pub(crate) struct Workbench {
    device: Arc<Device>,
}

impl Workbench {
    /// Opens `adapter` with the limits that the ops of `plan` need.
    ///
    /// # Errors
    /// A plan that needs what the adapter lacks; a driver that refuses.
    pub async fn open(adapter: &Adapter, plan: &Plan) -> Result<Self> {
        let device = Arc::new(Device::open(adapter, plan).await?);
        Ok(Workbench { device })
    }

    /// How long one dispatch of `op` takes among others of its kind, on inputs of zeros: the fastest of
    /// three runs of `run` each, compiled and run once before.
    ///
    /// # Errors
    /// A kernel that the driver refuses, memory that runs out, a device that was lost.
    pub async fn time(&self, op: Box<dyn Op>, run: Duration) -> Result<Duration> {
        let mut plan = Builder::new(false);
        let bindings = op.bindings();
        let mut make = |list: &[(&'static str, usize)]| {
            let tensors = list.iter();
            let tensors =
                tensors.map(|&(name, len)| plan.tensor(name, [len], Element::U32, Role::Input));
            tensors.collect::<Result<Vec<_>>>()
        };
        let (inputs, outputs) = (make(&bindings.inputs)?, make(&bindings.outputs)?);
        plan.boxed_op(Phase::Forward, op, &inputs, &outputs)?;
        let mut executor = Executor::on(self.device.clone(), Arc::new(plan.finish())).await?;
        let step = Step::new(0, 1, 0, 0.0);
        executor.time_node(0, &step, 1).await?;
        let once = executor.time_node(0, &step, 1).await?;
        let repeats = (run.as_secs_f64() / once.as_secs_f64().max(1e-7)).clamp(1.0, MOST_REPEATS);
        let mut fastest = once;
        for _ in 0..RUNS {
            let took = executor.time_node(0, &step, repeats as usize).await?;
            fastest = fastest.min(took.div_f64(repeats.floor()));
        }
        Ok(fastest)
    }
}

impl Executor {
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
        let first_word = self.plan().nodes()[node].outputs[0];
        let begun = Instant::now();
        self.run_nodes(&vec![node; repeats], step)?;
        self.read_first(first_word).await?;
        Ok(begun.elapsed())
    }
}
