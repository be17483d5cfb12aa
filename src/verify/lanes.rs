//! Verification on several devices of one adapter in parallel.
//!
//! Verification spends most of its time compiling: the sizes of each case are constants of its
//! kernel. Drivers compile in the thread that asks for a kernel, or, as llvmpipe, when it first
//! runs, on one thread per device.

use std::sync::{Mutex, PoisonError};

use crate::device::Device;
use crate::error::Result;
use crate::gpu::Adapter;

/// Maximum number of devices: each has its own memory.
const MOST: usize = 4;

/// Parts of the work per device.
const PARTS: usize = 4;

/// The number of devices to use: the number of processors. GL has one context for all devices, and
/// the web one thread.
fn count(device: &Device) -> usize {
    let has_one = |adapter: &Adapter| adapter.backend() == "gl" || cfg!(target_arch = "wasm32");
    if device.adapter().is_none_or(has_one) {
        return 1;
    }
    std::thread::available_parallelism().map_or(1, |processors| processors.get().min(MOST))
}

/// The results of `work` for each of `jobs`, in their order, with one job per device at a time.
/// Several devices have a thread each, and the caller waits for them.
///
/// # Errors
/// The first error of a job.
pub(super) async fn each<T: Send, R: Send, F: Future<Output = Result<R>>>(
    device: &Device,
    jobs: impl IntoIterator<Item = T, IntoIter: Send>,
    work: impl Fn(T) -> F + Sync,
) -> Result<Vec<R>> {
    let queue = Mutex::new(jobs.into_iter().enumerate());
    let queue = || queue.lock().unwrap_or_else(PoisonError::into_inner);
    let lane = async || {
        let mut done = Vec::new();
        loop {
            let next = queue().next();
            let Some((at, job)) = next else {
                return Ok(done);
            };
            match work(job).await {
                Ok(result) => done.push((at, result)),
                Err(error) => {
                    // The other threads end after their current jobs.
                    queue().by_ref().for_each(drop);
                    return Err(error);
                }
            }
        }
    };
    let mut done = match count(device) {
        1 => lane().await?,
        several => on_threads(several, || pollster::block_on(lane()))?,
    };
    done.sort_unstable_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// The results of `work` on each of `threads` threads, one after the other.
fn on_threads<R: Send>(threads: usize, work: impl Fn() -> Result<Vec<R>> + Sync) -> Result<Vec<R>> {
    let ended = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended.collect::<Vec<_>>()
    });
    let mut results = Vec::new();
    for ended in ended {
        results.extend(ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
    }
    Ok(results)
}

/// `items` in parts, several per device to balance the load.
pub(super) fn parts<T>(device: &Device, items: Vec<T>) -> Vec<Vec<T>> {
    let parts = match count(device) {
        1 => 1,
        several => several * PARTS,
    };
    let size = items.len().div_ceil(parts);
    let mut items = items.into_iter().peekable();
    let mut parts = Vec::new();
    while items.peek().is_some() {
        parts.push(items.by_ref().take(size).collect());
    }
    parts
}
