//! Times the ops of a step with the adapter's timestamps.

use std::time::Duration;

use web_time::Instant;

use super::answer::{Asked, question};
use super::executor::Executor;
use super::loaded::Loaded;
use super::readback::{Reading, Words, answer_with_words, staging_buffer};
use crate::error::Result;
use crate::ops::Step;
use crate::plan::Phase;

/// Timestamps per op: before it and after it.
const STAMPS: usize = 2;

impl Executor {
    /// The time of each op of `phases` within one step, by its index in the plan; `None` if the
    /// adapter has no timestamp queries.
    ///
    /// Each op gets its own compute pass: timestamps at the ends of passes are the part of WebGPU's
    /// feature that every backend has.
    ///
    /// # Errors
    /// The device was lost or reported a fault, or there are more than 2,048 ops, the maximum of a
    /// query set.
    pub async fn time_ops(
        &mut self,
        phases: &[Phase],
        step: &Step,
    ) -> Result<Option<Vec<(usize, Duration)>>> {
        self.check()?;
        if !self.opened().has_timestamps() {
            return Ok(None);
        }
        let nodes: Vec<usize> = self.plan().nodes_of(phases).collect();
        if nodes.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let (asked, answer) = question();
        let (loaded, own, step) = (self.loaded.clone(), nodes.clone(), *step);
        let submit = move || async move { loaded.submit_stamped(&own, &step, asked).await };
        self.opened().run(submit).await??;
        let device = self.opened().clone();
        let read = Reading { answer, device }.get().await?;

        let period = f64::from(self.opened().queue.get_timestamp_period());
        let stamps: Vec<u64> = bytemuck::pod_collect_to_vec(&read.words);
        let times = stamps.chunks_exact(STAMPS).map(|stamp| {
            // A clock that was reset between the two counts as zero.
            let ticks = stamp[1].saturating_sub(stamp[0]);
            Duration::from_nanos((ticks as f64 * period) as u64)
        });
        Ok(Some(nodes.into_iter().zip(times).collect()))
    }
}

impl Loaded {
    /// Submits `nodes`, each in its own pass, and answers with the stamps before and after each.
    async fn submit_stamped(
        &self,
        nodes: &[usize],
        step: &Step,
        asked: Asked<Words>,
    ) -> Result<()> {
        let count = (STAMPS * nodes.len()) as u32;
        let bytes = u64::from(count) * u64::from(wgpu::QUERY_SIZE);
        let device = &self.device.device;
        let make = || {
            let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count,
            });
            let resolved = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("timestamps"),
                size: bytes,
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            });
            let words = (bytes / super::WORD) as usize;
            let staging = staging_buffer(&self.device, "timestamps staging", words);
            (queries, resolved, staging)
        };
        let context = "making timestamp queries";
        let (queries, resolved, staging) = self.device.checked(context, make).await?;

        let begun = Instant::now();
        self.write_steps(&[*step]);
        let mut encoder = self.encoder();
        for (i, &node) in nodes.iter().enumerate() {
            let first = (STAMPS * i) as u32;
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: &queries,
                    beginning_of_pass_write_index: Some(first),
                    end_of_pass_write_index: Some(first + 1),
                }),
            });
            self.set_step(&mut pass, 0);
            self.dispatch(&mut pass, node);
        }
        encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
        encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, bytes);
        let submission = self.device.queue.submit([encoder.finish()]);
        answer_with_words(&self.device, &staging, submission, (asked, begun), None);
        Ok(())
    }
}
