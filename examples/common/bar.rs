//! Progress bars, on a terminal only.

use indicatif::{ProgressBar, ProgressStyle};
use wgrad::Progress;

/// A bar of `len` steps.
pub fn progress_bar(prefix: impl Into<String>, len: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg}");
    ProgressBar::new(len as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_prefix(prefix.into())
}

/// Moves a bar of samples.
pub fn advance(bar: &ProgressBar, progress: &Progress) {
    bar.set_position(progress.samples);
    bar.set_message(format!(
        "{:.0} images/s, loss {:.4}",
        progress.samples_per_second, progress.loss
    ));
}
