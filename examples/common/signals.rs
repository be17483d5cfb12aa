//! Requests to end a training: Ctrl-C, SIGTERM, SIGHUP, closing the console.

use std::sync::atomic::{AtomicBool, Ordering};

use wgrad::{Error, Result};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether an interruption was requested.
pub fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// `nohup` makes a process ignore hang-ups. This keeps them ignored, as [`handle`] would otherwise
/// handle them. Call it before any threads are started.
pub fn keep_ignoring_hang_ups() {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::signal::{SigSet, Signal};
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        // Bit 0 is signal 1. A signal blocked by every thread is never delivered.
        if ignored.is_some_and(|mask| mask >> (Signal::SIGHUP as u32 - 1) & 1 == 1) {
            let mut hang_up = SigSet::empty();
            hang_up.add(Signal::SIGHUP);
            // If this fails, a hang-up ends training with a checkpoint.
            let _ = hang_up.thread_block();
        }
    }
}

/// Installs the signal handler: the first signal requests an end, the second ends the process.
///
/// # Errors
/// The operating system refused the handler.
pub fn handle() -> Result<()> {
    let handler = || {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    match ctrlc::set_handler(handler) {
        // After a lost device, the first run's handler is still installed.
        Ok(()) | Err(ctrlc::Error::MultipleHandlers) => Ok(()),
        Err(error) => Err(Error::value("Ctrl-C", "a handler", error)),
    }
}
