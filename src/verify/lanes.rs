//! Several devices of one adapter at work at a time.
//!
//! Most of the time of a verification goes into compiling: each case has sizes of its own, which are constants of
//! its kernel. llvmpipe compiles a kernel when it first runs, on one thread for each device.

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::device::Device;
use crate::error::Result;

/// The most devices: each has memory of its own.
const MOST: usize = 4;

/// Parts of the work for each of several devices.
const PARTS: usize = 4;

/// How many devices work at a time: as many as there are processors, where a processor plays the GPU. GL has
/// one context for all of them.
fn count(device: &Device) -> usize {
    let adapter = device.adapter();
    if !adapter.is_some_and(|adapter| adapter.is_software() && adapter.backend() != "gl") {
        return 1;
    }
    std::thread::available_parallelism().map_or(1, |processors| processors.get().min(MOST))
}

/// What comes of `work` with each of `jobs`, in their order; as many at a time as devices work.
///
/// # Errors
/// The first of a job.
pub(super) async fn each<T, R, F: Future<Output = Result<R>>>(
    device: &Device,
    jobs: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> F,
) -> Result<Vec<R>> {
    let jobs = jobs.into_iter().map(work).enumerate().map(numbered);
    let jobs: Vec<_> = jobs.collect();
    let done = stream::iter(jobs).buffer_unordered(count(device));
    let mut done: Vec<(usize, R)> = done.try_collect().await?;
    done.sort_unstable_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

async fn numbered<R>((at, job): (usize, impl Future<Output = Result<R>>)) -> Result<(usize, R)> {
    Ok((at, job.await?))
}

/// `items` in parts, each for a device of its own: several for each of those that work at a time, since some take
/// longer than others.
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
