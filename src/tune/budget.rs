//! What measuring may take in all.

use std::time::Duration;

use web_time::Instant;

/// The time that is left to measure in.
#[derive(Debug)]
pub(super) struct Budget {
    /// None is never.
    end: Option<Instant>,
    longest: Duration,
}

impl Budget {
    /// So much time from now on.
    pub fn new(budget: Duration) -> Self {
        Budget {
            end: Instant::now().checked_add(budget),
            longest: Duration::ZERO,
        }
    }

    /// Whether one more measurement ends in time, even if it takes twice as long as the longest before it.
    pub fn is_left(&self) -> bool {
        let ends_in_time = |end| Instant::now() + 2 * self.longest < end;
        self.end.is_none_or(ends_in_time)
    }

    /// Remembers how long something took that began at `begun`.
    pub fn count(&mut self, begun: Instant) {
        self.longest = self.longest.max(begun.elapsed());
    }
}
