//! How `mnist_gpu` is asked to end: Ctrl-C, SIGTERM, SIGHUP, a console that is closed.

use std::sync::atomic::{AtomicBool, Ordering};

use wgrad::{Error, Result};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether the end was asked for.
pub fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Under `nohup` a hang-up is ignored, and stays so: [`handle`] would else take it for a wish to
/// end. Call it before there are threads.
pub fn keep_ignoring_hang_ups() {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::signal::{SigSet, Signal};
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        // Bit 0 is signal 1. One that every thread blocks arrives nowhere.
        if ignored.is_some_and(|mask| mask >> (Signal::SIGHUP as u32 - 1) & 1 == 1) {
            let mut hang_up = SigSet::empty();
            hang_up.add(Signal::SIGHUP);
            // Where this fails, a hang-up ends training with a checkpoint.
            let _ = hang_up.thread_block();
        }
    }
}

/// Takes the signals over: the first asks for the end, the second is it.
///
/// # Errors
/// The system's.
pub fn handle() -> Result<()> {
    let handler = || {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    match ctrlc::set_handler(handler) {
        // After a lost device the first run's handler is still there.
        Ok(()) | Err(ctrlc::Error::MultipleHandlers) => Ok(()),
        Err(error) => Err(Error::value("Ctrl-C", "a handler", error)),
    }
}
