//! From the adapter's memory to the host's, without unnecessary waits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use web_time::Instant;

use super::WORD;
use super::answer::{Answer, Asked};
use super::device::Device;
use crate::error::{Error, Result};
use crate::ops::METRIC_WORDS;
use crate::plan::STEPS_PER_RUN;

/// The words read.
#[derive(Debug)]
pub(super) struct Words {
    pub words: Vec<u32>,
    /// From the request to its completion.
    pub took: Duration,
}

/// A pending read.
#[derive(Debug)]
pub(super) struct Reading {
    pub answer: Answer<Words>,
    pub device: Arc<Device>,
}

impl Reading {
    /// Waits for it.
    ///
    /// # Errors
    /// The device was lost or reported a fault meanwhile.
    pub async fn get(self) -> Result<Words> {
        let answer = self.answer.get().await;
        match answer.and_then(|words| self.device.faults.check().map(|()| words)) {
            Ok(words) => Ok(words),
            Err(error) => Err(self.device.cause(error).await),
        }
    }
}

/// Answers with the contents of `staging` after `submission`, then returns it to `pool`, if any.
pub(super) fn answer_with_words(
    device: &Device,
    staging: &wgpu::Buffer,
    submission: wgpu::SubmissionIndex,
    (asked, begun): (Asked<Words>, Instant),
    pool: Option<MetricsPool>,
) {
    let (buffer, answering) = (staging.clone(), asked.clone());
    let done = move |mapped: Result<(), wgpu::BufferAsyncError>| {
        let took = begun.elapsed();
        let words = mapped.map_err(|error| Error::gpu("reading back", error));
        let words = words.and_then(|()| unload(&buffer));
        if let Some(pool) = pool.filter(|_| words.is_ok()) {
            pool.give_back(buffer);
        }
        answering.send(words.map(|words| Words { words, took }));
    };
    staging.slice(..).map_async(wgpu::MapMode::Read, done);
    device.wait(submission, Arc::new(asked));
}

/// Reads the words of a mapped buffer and unmaps it.
fn unload(staging: &wgpu::Buffer) -> Result<Vec<u32>> {
    let view = staging.slice(..).get_mapped_range();
    let view = view.map_err(|error| Error::gpu("reading back", error))?;
    let words = bytemuck::pod_collect_to_vec(&view);
    drop(view);
    staging.unmap();
    Ok(words)
}

/// A buffer that the host can map and the queue can fill.
pub(super) fn staging_buffer(device: &Device, label: &str, words: usize) -> wgpu::Buffer {
    device.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: words as u64 * WORD,
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    })
}

/// A pool of staging buffers for metrics.
#[derive(Debug, Clone, Default)]
pub(super) struct MetricsPool(Arc<Mutex<Vec<wgpu::Buffer>>>);

impl MetricsPool {
    /// A free staging buffer, created if none is left.
    pub fn take(&self, device: &Device) -> wgpu::Buffer {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| {
            staging_buffer(device, "metrics staging", METRIC_WORDS * STEPS_PER_RUN)
        })
    }

    fn give_back(&self, staging: wgpu::Buffer) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(staging);
    }
}
