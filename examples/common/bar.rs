//! Progress bars, on a terminal only.

use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use wgrad::Progress;

/// A bar of `len` steps.
pub fn progress_bar(prefix: impl Into<String>, len: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg}");
    ProgressBar::new(len as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_prefix(prefix.into())
}

/// Moves a bar of samples; `epochs` follow this one.
pub fn advance(bar: &ProgressBar, progress: &Progress, epochs: u64) {
    bar.set_position(progress.samples);
    bar.set_message(format!(
        "{:.0} images/s, loss {:.4}, rate {:.1e}, {} left",
        progress.samples_per_second,
        progress.loss,
        progress.learning_rate,
        HumanDuration(left(progress, epochs))
    ));
}

/// The time that the rest of an epoch takes, and the `epochs` after it.
pub fn left(progress: &Progress, epochs: u64) -> Duration {
    let samples = progress.total - progress.samples + epochs.saturating_mul(progress.total);
    let seconds = samples as f64 / progress.samples_per_second.max(1e-9);
    Duration::from_secs(seconds as u64)
}
