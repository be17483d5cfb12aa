//! From the adapter's memory to the host's, without making anyone wait who need not.

use std::sync::{Arc, Mutex, PoisonError};

use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};

use super::WORD;
use super::device::Device;
use crate::error::{Error, Result};
use crate::executor::StepMetrics;
use crate::ops::{METRIC_WORDS, Step};
use crate::plan::STEPS_PER_RUN;

/// A staging buffer on its way to the host.
#[derive(Debug)]
pub(super) struct Mapping {
    device: Arc<Device>,
    staging: wgpu::Buffer,
    mapped: OneshotReceiver<Result<(), wgpu::BufferAsyncError>>,
    submission: wgpu::SubmissionIndex,
}

impl Mapping {
    /// Maps `staging`, which `submission` fills.
    pub fn start(
        device: &Arc<Device>,
        staging: wgpu::Buffer,
        submission: wgpu::SubmissionIndex,
    ) -> Self {
        let (sender, mapped) = oneshot_channel();
        staging
            .slice(..)
            .map_async(wgpu::MapMode::Read, move |result| {
                // A receiver that is gone wants no answer.
                let _ = sender.send(result);
            });
        Mapping {
            device: device.clone(),
            staging,
            mapped,
            submission,
        }
    }

    /// Waits for the words, and gives the staging buffer back unmapped.
    ///
    /// # Errors
    /// A device that was lost or reported a fault meanwhile.
    pub async fn words(self) -> Result<(Vec<u32>, wgpu::Buffer)> {
        let Device { device, faults, .. } = &*self.device;
        // Natively callbacks run only while someone polls; in a browser this does nothing, and the
        // event loop runs them.
        let polled = device.poll(wgpu::PollType::Wait {
            submission_index: Some(self.submission),
            timeout: None,
        });
        if polled.is_err() {
            // A device that was lost says so in a callback of its own, which takes another look.
            let _ = device.poll(wgpu::PollType::Poll);
        }
        faults.check()?;
        polled.map_err(|error| Error::gpu("waiting for the adapter", error))?;
        let mapped = self.mapped.receive().await;
        faults.check()?;
        let mapped = mapped.ok_or_else(|| Error::gpu("reading back", "the request was dropped"))?;
        mapped.map_err(|error| Error::gpu("reading back", error))?;
        let view = self.staging.slice(..).get_mapped_range();
        let view = view.map_err(|error| Error::gpu("reading back", error))?;
        let words = bytemuck::pod_collect_to_vec(&view);
        drop(view);
        self.staging.unmap();
        Ok((words, self.staging))
    }
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

/// Staging buffers for metrics, used again and again.
#[derive(Debug, Clone, Default)]
pub(super) struct MetricsPool(Arc<Mutex<Vec<wgpu::Buffer>>>);

impl MetricsPool {
    /// A free staging buffer, made where none is left.
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

/// The metrics of the steps of one run, on their way to the host.
#[derive(Debug)]
pub(crate) struct PendingMetrics {
    pub(super) mapping: Mapping,
    pub(super) pool: MetricsPool,
    pub(super) steps: Vec<Step>,
}

impl PendingMetrics {
    /// Waits for them.
    ///
    /// # Errors
    /// A device that was lost or reported a fault meanwhile.
    pub async fn wait(self) -> Result<Vec<StepMetrics>> {
        let (words, staging) = self.mapping.words().await?;
        self.pool.give_back(staging);
        let (loss_sums, correct) = words.split_at(STEPS_PER_RUN);
        Ok(self
            .steps
            .iter()
            .map(|step| StepMetrics::from_words(step, loss_sums, correct))
            .collect())
    }
}
