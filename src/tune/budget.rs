//! The time budget of tuning.

use std::time::Duration;

use web_time::Instant;

/// The time left for measuring.
#[derive(Debug)]
pub(super) struct Budget {
    /// `None`: no limit.
    end: Option<Instant>,
    longest: Duration,
}

impl Budget {
    /// `budget` from now on.
    pub fn new(budget: Duration) -> Self {
        Budget {
            end: Instant::now().checked_add(budget),
            longest: Duration::ZERO,
        }
    }

    /// Whether one more measurement fits, even if it takes twice as long as the longest so far.
    pub fn is_left(&self) -> bool {
        let ends_in_time = |end| Instant::now() + 2 * self.longest < end;
        self.end.is_none_or(ends_in_time)
    }

    /// Records a measurement that began at `begun`.
    pub fn count(&mut self, begun: Instant) {
        self.longest = self.longest.max(begun.elapsed());
    }
}
