//! Runs the reference without blocking the caller's thread.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};

use super::Executor;
use crate::ops::{Step, StepMetrics};
use crate::plan::Phase;

type Metrics = Option<Vec<StepMetrics>>;
type Buffers = Vec<Vec<u32>>;
type Done = (Buffers, Result<Metrics, Box<dyn Any + Send>>);

impl Executor {
    /// [`Executor::run`] in rayon's pool. Dropping the future waits for the steps to complete, so
    /// that they are all done or not begun.
    pub(crate) async fn run_aside(&mut self, phases: &[Phase], steps: &[Step]) -> Metrics {
        // A pool thread that waits for the pool could deadlock. A browser has one thread.
        if cfg!(target_arch = "wasm32") || rayon::current_thread_index().is_some() {
            return self.run(phases, steps);
        }
        let (sender, receiver) = oneshot_channel();
        let mut away = Executor {
            plan: self.plan.clone(),
            buffers: std::mem::take(&mut self.buffers),
        };
        let (phases, steps) = (phases.to_vec(), steps.to_vec());
        rayon::spawn(move || {
            let run = AssertUnwindSafe(|| away.run(&phases, &steps));
            let metrics = catch_unwind(run);
            // The receiver always waits for the memory.
            let _ = sender.send((away.buffers, metrics));
        });
        let mut memory = Away {
            home: &mut self.buffers,
            receiver: Some(receiver),
        };
        memory.back().await
    }
}

/// The memory of an executor while a task uses it.
struct Away<'a> {
    home: &'a mut Buffers,
    /// `None` once the memory is back.
    receiver: Option<OneshotReceiver<Done>>,
}

impl Away<'_> {
    /// Waits for the memory, and resumes the task's panic, if any.
    async fn back(&mut self) -> Metrics {
        let done = match &self.receiver {
            Some(receiver) => receiver.receive().await,
            None => None,
        };
        self.receiver = None;
        let (buffers, metrics) = done?;
        *self.home = buffers;
        metrics.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(receiver) = self.receiver.take()
            && let Some((buffers, _)) = pollster::block_on(receiver.receive())
        {
            *self.home = buffers;
        }
    }
}
