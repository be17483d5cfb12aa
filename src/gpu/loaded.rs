//! A plan in an adapter's memory, and the recording of its ops, on the thread that owns the
//! context.

use std::ops::Range;
use std::sync::Arc;

use web_time::Instant;

use super::WORD;
use super::answer::Asked;
use super::device::Device;
use super::pipelines::{Pipelines, STEP_GROUP};
use super::readback::{MetricsPool, Words, answer_with_words, staging_buffer};
use crate::error::Result;
use crate::ops::Step;
use crate::plan::{MetricTables, Node, Plan, STEPS_PER_RUN, TensorId};

/// Bytes between two steps of the table: WebGPU's largest alignment of a dynamic offset.
const STEP_STRIDE: usize = 256;

/// The objects of a dispatch, created once.
#[derive(Debug)]
struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    tensors: wgpu::BindGroup,
    workgroups: [u32; 2],
}

/// The device objects of a plan.
#[derive(Debug)]
pub(super) struct Loaded {
    pub plan: Arc<Plan>,
    pub device: Arc<Device>,
    buffers: Vec<wgpu::Buffer>,
    dispatches: Vec<Dispatch>,
    step_table: wgpu::Buffer,
    step_group: wgpu::BindGroup,
    metrics_pool: MetricsPool,
}

impl Loaded {
    /// Creates every buffer and bind group of the plan, and the missing pipelines.
    ///
    /// # Errors
    /// Memory ran out, or the driver refused a kernel.
    pub async fn make(
        device: Arc<Device>,
        plan: Arc<Plan>,
        pipelines: Arc<Pipelines>,
    ) -> Result<Self> {
        let buffers = make_buffers(&device, &plan).await?;
        let ops = plan.nodes().iter().map(|node| node.op.as_ref());
        pipelines.compile_ahead(&device, ops).await?;
        let per_dimension = device.device.limits().max_compute_workgroups_per_dimension;
        let mut dispatches = Vec::with_capacity(plan.nodes().len());
        for node in plan.nodes() {
            let pipeline = pipelines.pipeline(&device, node.op.as_ref()).await?;
            let layout = pipelines.layout(&device, (node.inputs.len(), node.outputs.len()));
            dispatches.push(Dispatch {
                pipeline,
                tensors: bind(&device, &plan, node, &layout, &buffers),
                workgroups: fold(node.op.launch().workgroups(), per_dimension),
            });
        }
        let step_table = device.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("steps"),
            size: (STEPS_PER_RUN * STEP_STRIDE) as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let step_group = device.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("step"),
            layout: pipelines.step_layout(),
            entries: &[wgpu::BindGroupEntry {
                binding: 0,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &step_table,
                    offset: 0,
                    size: wgpu::BufferSize::new(size_of::<Step>() as u64),
                }),
            }],
        });
        device.faults.check()?;
        Ok(Loaded {
            plan,
            device,
            buffers,
            dispatches,
            step_table,
            step_group,
            metrics_pool: MetricsPool::default(),
        })
    }

    /// Overwrites a tensor from its byte `at` on with whole words.
    pub fn write(&self, tensor: TensorId, at: u64, bytes: &[u8]) {
        let tensor = self.plan.tensor(tensor);
        let buffer = &self.buffers[tensor.buffer.index()];
        let offset = tensor.offset as u64 * WORD + at;
        self.device.queue.write_buffer(buffer, offset, bytes);
    }

    /// Submits `nodes` for each of `steps`.
    pub fn submit(&self, nodes: &[usize], steps: &[Step]) {
        let encoder = self.record(steps, |pass, step| self.dispatch_all(pass, nodes, step));
        self.device.queue.submit([encoder.finish()]);
    }

    /// Submits, and answers with the steps' `tables` of metrics once they are filled.
    pub fn submit_and_answer(
        &self,
        nodes: &[usize],
        steps: &[Step],
        tables: MetricTables,
        asked: Asked<Words>,
    ) {
        let begun = Instant::now();
        let mut encoder = self.record(steps, |pass, step| self.dispatch_all(pass, nodes, step));
        let staging = self.metrics_pool.take(&self.device);
        let table_bytes = STEPS_PER_RUN as u64 * WORD;
        let all = std::iter::once(tables.loss_sum).chain(tables.correct);
        for (i, table) in all.enumerate() {
            let buffer = &self.buffers[self.plan.tensor(table).buffer.index()];
            encoder.copy_buffer_to_buffer(buffer, 0, &staging, i as u64 * table_bytes, table_bytes);
        }
        let submission = self.device.queue.submit([encoder.finish()]);
        let pool = Some(self.metrics_pool.clone());
        answer_with_words(&self.device, &staging, submission, (asked, begun), pool);
    }

    /// Submits the first workgroup of one op.
    pub fn touch(&self, node: usize, step: &Step) {
        let encoder = self.record(&[*step], |pass, _| {
            self.dispatch_workgroups(pass, node, [1, 1])
        });
        self.device.queue.submit([encoder.finish()]);
    }

    /// Submits `nodes`, then answers with the words of a tensor in `ranges`, once everything
    /// submitted so far is done.
    ///
    /// # Errors
    /// Memory ran out.
    pub async fn read(
        &self,
        tensor: TensorId,
        ranges: &[Range<usize>],
        nodes: Option<(&[usize], &Step)>,
        asked: Asked<Words>,
    ) -> Result<()> {
        let tensor = self.plan.tensor(tensor);
        let words = ranges.iter().map(Range::len).sum();
        let make = || staging_buffer(&self.device, &tensor.name, words);
        let context = format!("reading {}", tensor.name);
        let staging = self.device.checked(&context, make).await?;
        let begun = Instant::now();
        if let Some((nodes, step)) = nodes {
            self.submit(nodes, &[*step]);
        }
        let mut encoder = self.encoder();
        let buffer = &self.buffers[tensor.buffer.index()];
        let mut to = 0;
        for range in ranges {
            let from = (tensor.offset + range.start) as u64 * WORD;
            let size = range.len() as u64 * WORD;
            encoder.copy_buffer_to_buffer(buffer, from, &staging, to, size);
            to += size;
        }
        let submission = self.device.queue.submit([encoder.finish()]);
        answer_with_words(&self.device, &staging, submission, (asked, begun), None);
        Ok(())
    }

    /// Fills each of `tensors` by repeating its pattern, a tensor in another buffer.
    pub fn repeat(&self, tensors: &[(TensorId, TensorId)]) {
        let mut encoder = self.encoder();
        for &(pattern, tensor) in tensors {
            let [pattern, tensor] = [pattern, tensor].map(|id| self.plan.tensor(id));
            let [from, to] = [pattern, tensor].map(|tensor| &self.buffers[tensor.buffer.index()]);
            let [from_at, to_at] = [pattern, tensor].map(|tensor| tensor.offset as u64 * WORD);
            for at in (0..tensor.words()).step_by(pattern.words()) {
                let words = pattern.words().min(tensor.words() - at) as u64;
                let to_at = to_at + at as u64 * WORD;
                encoder.copy_buffer_to_buffer(from, from_at, to, to_at, words * WORD);
            }
        }
        self.device.queue.submit([encoder.finish()]);
    }

    /// One compute pass that dispatches the same ops once per step.
    fn record(
        &self,
        steps: &[Step],
        dispatch: impl Fn(&mut wgpu::ComputePass<'_>, &Step),
    ) -> wgpu::CommandEncoder {
        self.write_steps(steps);
        let mut encoder = self.encoder();
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for (i, step) in steps.iter().enumerate() {
            self.set_step(&mut pass, i);
            dispatch(&mut pass, step);
        }
        drop(pass);
        encoder
    }

    fn dispatch_all(&self, pass: &mut wgpu::ComputePass<'_>, nodes: &[usize], step: &Step) {
        for &node in nodes {
            if self.plan.runs(node, step) {
                self.dispatch(pass, node);
            }
        }
    }

    /// Fills the table of steps, for the next submit.
    pub fn write_steps(&self, steps: &[Step]) {
        let mut bytes = Vec::with_capacity(steps.len() * STEP_STRIDE);
        for step in steps {
            let next = bytes.len() + STEP_STRIDE;
            bytes.extend_from_slice(bytemuck::bytes_of(step));
            bytes.resize(next, 0);
        }
        self.device.queue.write_buffer(&self.step_table, 0, &bytes);
    }

    /// Later dispatches read row `i` of the table of steps.
    pub fn set_step(&self, pass: &mut wgpu::ComputePass<'_>, i: usize) {
        pass.set_bind_group(STEP_GROUP, &self.step_group, &[(i * STEP_STRIDE) as u32]);
    }

    /// Records one op.
    pub fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>, node: usize) {
        self.dispatch_workgroups(pass, node, self.dispatches[node].workgroups);
    }

    /// Records `x` by `y` workgroups of one op.
    fn dispatch_workgroups(&self, pass: &mut wgpu::ComputePass<'_>, node: usize, [x, y]: [u32; 2]) {
        let launch = &self.dispatches[node];
        pass.set_pipeline(&launch.pipeline);
        pass.set_bind_group(0, &launch.tensors, &[]);
        pass.dispatch_workgroups(x, y, 1);
    }

    pub fn encoder(&self) -> wgpu::CommandEncoder {
        self.device
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }
}

/// The bytes of `words` words, rounded up for kernels that read two at a time.
fn pairs(words: usize) -> u64 {
    words.next_multiple_of(2) as u64 * WORD
}

async fn make_buffers(device: &Device, plan: &Plan) -> Result<Vec<wgpu::Buffer>> {
    let mut buffers = Vec::with_capacity(plan.buffers().len());
    for buffer in plan.buffers() {
        let descriptor = wgpu::BufferDescriptor {
            label: Some(&buffer.name),
            // A plan without parameters has empty arenas, and no buffer may be empty.
            size: pairs(buffer.words.max(1)),
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        let context = format!("making buffer {} of {} bytes", buffer.name, descriptor.size);
        let make = || device.device.create_buffer(&descriptor);
        buffers.push(device.checked(&context, make).await?);
    }
    Ok(buffers)
}

/// The bind group of a node: its inputs, then its outputs.
fn bind(
    device: &Device,
    plan: &Plan,
    node: &Node,
    layout: &wgpu::BindGroupLayout,
    buffers: &[wgpu::Buffer],
) -> wgpu::BindGroup {
    let ids = node.inputs.iter().chain(&node.outputs);
    let entries: Vec<_> = ids
        .enumerate()
        .map(|(binding, &id)| {
            let tensor = plan.tensor(id);
            wgpu::BindGroupEntry {
                binding: binding as u32,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &buffers[tensor.buffer.index()],
                    offset: tensor.offset as u64 * WORD,
                    size: wgpu::BufferSize::new(pairs(tensor.words())),
                }),
            }
        })
        .collect();
    device.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(node.op.name()),
        layout,
        entries: &entries,
    })
}

/// The smallest rectangle of at least `workgroups`, with sides of at most `per_dimension`.
fn fold(workgroups: u64, per_dimension: u32) -> [u32; 2] {
    let rows = workgroups.div_ceil(u64::from(per_dimension)).max(1);
    let columns = workgroups.div_ceil(rows);
    [columns as u32, rows as u32]
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn workgroups_fold_into_two_dimensions() {
        assert_eq!(fold(1, 65_535), [1, 1]);
        assert_eq!(fold(65_535, 65_535), [65_535, 1]);
        assert_eq!(fold(65_536, 65_535), [32_768, 2]);
        for workgroups in [65_537, 131_071, 999_983] {
            let [x, y] = fold(workgroups, 65_535);
            assert!(x <= 65_535 && u64::from(x) * u64::from(y) >= workgroups);
        }
    }
}
