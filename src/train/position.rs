//! Where training stands.

/// Where training stands: complete epochs, and steps of the one begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Position {
    pub epoch: u64,
    pub step: u64,
}

impl Position {
    /// Behind `steps` more, where an epoch has `epoch_steps`.
    pub fn advance(&mut self, steps: usize, epoch_steps: usize) {
        self.step += steps as u64;
        if self.step >= epoch_steps as u64 {
            self.epoch = self.epoch.saturating_add(1);
            self.step = 0;
        }
    }
}
