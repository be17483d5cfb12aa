//! Verification on several devices of one adapter in parallel.
//!
//! Verification spends most of its time compiling: the sizes of each case are constants of its
//! kernel. llvmpipe compiles a kernel when it first runs, on one thread per device.

use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

use crate::device::Device;
use crate::error::Result;

/// Maximum number of devices: each has its own memory.
const MOST: usize = 4;

/// Parts of the work per device.
const PARTS: usize = 4;

/// The number of devices to use: the number of processors on a software adapter, else one. GL has
/// one context for all devices.
fn count(device: &Device) -> usize {
    let adapter = device.adapter();
    if !adapter.is_some_and(|adapter| adapter.is_software() && adapter.backend() != "gl") {
        return 1;
    }
    std::thread::available_parallelism().map_or(1, |processors| processors.get().min(MOST))
}

/// The results of `work` for each of `jobs`, in their order, with one job per device at a time.
///
/// # Errors
/// The first error of a job.
pub(super) async fn each<T, R, F: Future<Output = Result<R>>>(
    device: &Device,
    jobs: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> F,
) -> Result<Vec<R>> {
    let jobs: Vec<F> = jobs.into_iter().map(work).collect();
    let (queue, done) = (Mutex::new(jobs.into_iter().enumerate()), Mutex::new(vec![]));
    let lane = async || {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((at, job)) = next else {
                return Ok(());
            };
            let result = job.await?;
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push((at, result));
        }
    };
    let mut lanes: Vec<_> = (0..count(device)).map(|_| Box::pin(lane())).collect();
    let mut outcome = Ok(());
    poll_fn(|context| {
        lanes.retain_mut(|lane| match lane.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(ended) => {
                if outcome.is_ok() {
                    outcome = ended;
                }
                false
            }
        });
        match lanes.is_empty() || outcome.is_err() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    outcome?;
    drop(lanes);
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
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
