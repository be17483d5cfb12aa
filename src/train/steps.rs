//! The steps of a pass over a split.

use super::Trainer;
use crate::error::{Error, Result};
use crate::ops::Step;
use crate::plan::STEPS_PER_RUN;

/// A pass over a split, or over the rest of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass {
    /// Where the split begins in the data set.
    pub first: usize,
    /// Its samples.
    pub len: usize,
    /// Samples of it that are left out.
    pub skipped: usize,
    /// Whether it trains.
    pub trains: bool,
}

impl Trainer {
    /// The steps of a pass, each of a batch; in training an update follows each whole group of
    /// micro-batches, and the last one.
    pub(super) fn steps(&self, pass: Pass) -> impl Iterator<Item = Step> + use<> {
        let (config, epoch) = (self.config.clone(), self.position.epoch);
        let rate_at = self.rate_at(pass.len);
        let batch = config.batch_size;
        let micro = if pass.trains { config.micro_batches } else { 1 };
        let whole = batch * micro;
        let per_epoch = |rows: usize| pass.len.div_ceil(rows) as u64;
        let before = epoch.saturating_mul(per_epoch(batch));
        let updates_before = epoch.saturating_mul(per_epoch(whole));
        (pass.skipped..pass.len).step_by(batch).map(move |at| {
            let rows = batch.min(pass.len - at);
            let number = before.saturating_add((at / batch) as u64);
            let (update, begin) = (at / whole, at / whole * whole);
            let end = pass.len.min(begin + whole);
            let updates = updates_before.saturating_add(update as u64);
            let step = Step::new((pass.first + at) as u32, rows as u32, 0, rate_at(at))
                .at(epoch as u32, number as u32)
                .seed(config.seed)
                .scalars(config.optimizer.scalars(updates))
                .part_of((end - begin) as u32, updates as u32, at + rows == end);
            match pass.trains {
                true => step.augmenting(config.augmentation.mix(config.seed, number)),
                false => step,
            }
        })
    }

    /// The learning rate of a sample of an epoch of `len`, by its place in it.
    pub(super) fn rate_at(&self, len: usize) -> impl Fn(usize) -> f32 + use<> {
        let whole = self.config.batch_size * self.config.micro_batches;
        let (schedule, base) = (self.config.schedule, self.learning_rate);
        let before = self
            .position
            .epoch
            .saturating_mul(len.div_ceil(whole) as u64);
        move |place| base * schedule.factor(before.saturating_add((place / whole) as u64))
    }
}

/// # Errors
/// There are none, or more than one submit holds.
pub(super) fn check_micro_batches(count: usize) -> Result<()> {
    match (1..=STEPS_PER_RUN).contains(&count) {
        true => Ok(()),
        false => Err(Error::value(
            "micro-batches of an update",
            format!("1 to {STEPS_PER_RUN}"),
            count,
        )),
    }
}
