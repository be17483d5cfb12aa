//! The position of training.

/// The position of training: complete epochs, and steps of the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Position {
    pub epoch: u64,
    pub step: u64,
}

impl Position {
    /// Advances by `steps` steps, within an epoch of `per_epoch`.
    pub fn advance(&mut self, steps: u64, per_epoch: u64) {
        self.step += steps;
        if self.step >= per_epoch {
            self.epoch = self.epoch.saturating_add(1);
            self.step = 0;
        }
    }
}
