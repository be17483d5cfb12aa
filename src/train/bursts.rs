//! Batches steps into submits: enough to keep the adapter busy for a while, and no more.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Duration;

use web_time::Instant;

use super::feed::Feed;
use crate::error::Result;
use crate::executor::{Executor, Pending, others_first};
use crate::ops::{Step, StepMetrics};
use crate::plan::Phase;

/// The target time of a submit: far below the seconds after which drivers time out, far above the
/// cost of a submit.
const TARGET: Duration = Duration::from_millis(50);

/// Submits in flight: while one runs, the next waits in the queue.
const IN_FLIGHT: usize = 2;

/// Steps of the first submit: before any timing exists, a single step could already exceed the
/// target.
const FIRST: usize = 1;

/// Feeds steps to an executor in bursts of about 50 ms.
#[derive(Debug)]
pub(super) struct Bursts {
    len: usize,
    /// Whether a step panicked, leaving tensors in an unknown state.
    pub is_torn: bool,
}

/// Records a panic while a burst is submitted; forgotten on success.
struct Handover<'a>(&'a mut bool);

impl Drop for Handover<'_> {
    fn drop(&mut self) {
        *self.0 |= std::thread::panicking();
    }
}

impl Bursts {
    pub fn new() -> Self {
        Bursts {
            len: FIRST,
            is_torn: false,
        }
    }

    /// Runs `phases` for every step, fed with samples by `feed`, in bursts of whole groups of `group`
    /// steps, and calls `on_done` with the metrics of each burst. If that breaks, no further burst
    /// is begun, and those in flight are awaited. After each burst the task yields, so that a timeout
    /// or another task can run on any device.
    ///
    /// `on_begun` is called with the number of steps of each burst before it begins. A burst that
    /// has begun always completes, even if the future is dropped or `on_done` panics: so the
    /// position of training includes it, and later work is ordered after it.
    ///
    /// # Errors
    /// As [`Feed::prepare`], [`Executor::run`] and [`Pending::wait`].
    pub async fn run(
        &mut self,
        executor: &mut Executor,
        feed: &Feed,
        (phases, group): (&[Phase], usize),
        mut steps: impl Iterator<Item = Step>,
        mut on_begun: impl FnMut(usize),
        mut on_done: impl FnMut(&[StepMetrics]) -> ControlFlow<()>,
    ) -> Result<()> {
        let most = feed.most_steps() / group * group;
        let mut stop = false;
        let mut in_flight: VecDeque<Pending> = VecDeque::new();
        let mut last_done = Instant::now();
        loop {
            let whole = (self.len.min(most) / group).max(1) * group;
            let next = if stop { 0 } else { whole };
            let mut burst: Vec<Step> = steps.by_ref().take(next).collect();
            for (slot, step) in burst.iter_mut().enumerate() {
                step.slot = slot as u32;
            }
            let is_last = burst.is_empty();
            if !is_last {
                feed.prepare(executor, &mut burst)?;
                on_begun(burst.len());
                let handover = Handover(&mut self.is_torn);
                let pending = executor.begin(phases, &burst).await;
                std::mem::forget(handover);
                in_flight.push_back(pending?);
            }
            while in_flight.len() >= IN_FLIGHT || (is_last && !in_flight.is_empty()) {
                let Some(oldest) = in_flight.pop_front() else {
                    break;
                };
                let metrics = oldest.wait().await?;
                // The last bursts may have been done long before they are waited for.
                if !is_last {
                    self.adapt(metrics.len(), most, last_done.elapsed());
                }
                last_done = Instant::now();
                stop |= on_done(&metrics).is_break();
                others_first().await;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Moves the burst length halfway to the one that would have taken [`TARGET`].
    fn adapt(&mut self, steps: usize, most: usize, took: Duration) {
        let ideal = steps as f64 * TARGET.as_secs_f64() / took.as_secs_f64().max(1e-6);
        let ideal = ideal.min(most as f64) as usize;
        self.len = (self.len + ideal).div_ceil(2).clamp(1, most);
    }
}
