//! Holds a plan's memory and runs its phases. It has no idea what a convolution is.

use std::sync::Arc;

use super::device::{Device, required_limits};
use super::pipelines::{Pipelines, STEP_GROUP};
use super::readback::{Mapping, MetricsPool, PendingMetrics, staging_buffer};
use super::{Adapter, WORD, Workbench};
use crate::error::{Error, Result};
use crate::ops::Step;
use crate::plan::{Node, Phase, Plan, STEPS_PER_RUN, TensorId};

/// Bytes between two steps of the table: WebGPU's largest alignment of a dynamic offset.
const STEP_STRIDE: usize = 256;

/// What a dispatch needs, made once.
#[derive(Debug)]
struct Launch {
    pipeline: wgpu::ComputePipeline,
    tensors: wgpu::BindGroup,
    workgroups: [u32; 2],
}

/// A plan on an adapter.
#[derive(Debug)]
pub struct Executor {
    pub(super) plan: Arc<Plan>,
    pub(super) device: Arc<Device>,
    buffers: Vec<wgpu::Buffer>,
    launches: Vec<Launch>,
    step_table: wgpu::Buffer,
    step_group: wgpu::BindGroup,
    step_bytes: Vec<u8>,
    metrics_pool: MetricsPool,
}

impl Executor {
    /// Opens the adapter and makes every buffer, pipeline and bind group of the plan. Where kernels were just
    /// measured, it goes on with what was opened and compiled for that.
    ///
    /// # Errors
    /// A limit that the plan exceeds, memory that runs out, a kernel that the driver refuses.
    pub async fn new(adapter: &Adapter, plan: Arc<Plan>) -> Result<Self> {
        let limits = required_limits(adapter, &plan)?;
        if let Some(node) = plan
            .nodes()
            .iter()
            .find(|node| !adapter.runs(node.op.as_ref()))
        {
            let kernel = format!("kernel `{}`", node.op.name());
            return Err(Error::value(kernel, "an adapter with subgroups", adapter));
        }
        let Workbench {
            device,
            mut pipelines,
        } = match adapter.take_spare() {
            Some(bench) => bench,
            None => Workbench::new(Device::with_limits(adapter, limits).await?),
        };
        Executor::on(device, plan, &mut pipelines).await
    }

    /// Makes every buffer and bind group of the plan on an open device, and what is missing of its pipelines.
    ///
    /// # Errors
    /// As [`Executor::new`].
    pub(super) async fn on(
        device: Arc<Device>,
        plan: Arc<Plan>,
        pipelines: &mut Pipelines,
    ) -> Result<Self> {
        let buffers = make_buffers(&device, &plan).await?;
        let ops = plan.nodes().iter().map(|node| node.op.as_ref());
        pipelines.compile_ahead(&device, ops).await?;
        let per_dimension = device.device.limits().max_compute_workgroups_per_dimension;
        let mut launches = Vec::with_capacity(plan.nodes().len());
        for node in plan.nodes() {
            let pipeline = pipelines.pipeline(&device, node.op.as_ref()).await?;
            let layout = pipelines.layout(&device, node.inputs.len(), node.outputs.len());
            launches.push(Launch {
                pipeline,
                tensors: bind(&device, &plan, node, layout, &buffers),
                workgroups: fold(
                    node.op.invocations().div_ceil(node.op.workgroup_size()),
                    per_dimension,
                ),
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
        Ok(Executor {
            plan,
            device,
            buffers,
            launches,
            step_table,
            step_group,
            step_bytes: Vec::with_capacity(STEPS_PER_RUN * STEP_STRIDE),
            metrics_pool: MetricsPool::default(),
        })
    }

    /// The plan that it runs.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The device, for what wgpu says of it.
    pub fn device(&self) -> &wgpu::Device {
        &self.device.device
    }

    /// Gives the device up: everything after this is [`DeviceLost`](crate::Error::DeviceLost). This is how a driver's
    /// reset is rehearsed.
    pub fn destroy_device(&self) {
        self.device.device.destroy();
    }

    /// Overwrites a tensor with the bytes of `parts`, and zeros up to its end; the caller has checked their
    /// number. They go straight to where the adapter takes them from.
    pub(crate) fn write_bytes(&mut self, tensor: TensorId, parts: &[&[u8]]) {
        let tensor = self.plan.tensor(tensor);
        let buffer = &self.buffers[tensor.buffer.index()];
        let size = wgpu::BufferSize::new(tensor.words() as u64 * WORD);
        let offset = tensor.offset as u64 * WORD;
        let view = size.and_then(|size| self.device.queue.write_buffer_with(buffer, offset, size));
        // Where there is none, the device has reported a fault.
        let Some(mut view) = view else { return };
        let mut at = 0;
        for part in parts {
            view.slice(at..at + part.len()).copy_from_slice(part);
            at += part.len();
        }
        view.slice(at..).fill(0);
    }

    /// The words of a tensor, once everything submitted so far is done.
    ///
    /// # Errors
    /// A device that was lost or reported a fault.
    pub(crate) async fn read(&self, tensor: TensorId) -> Result<Vec<u32>> {
        self.read_words(tensor, self.plan.tensor(tensor).words())
            .await
    }

    /// The first word of a tensor: what waits for everything submitted so far, at little cost.
    ///
    /// # Errors
    /// As [`Executor::read`].
    pub(super) async fn read_first(&self, tensor: TensorId) -> Result<u32> {
        Ok(self.read_words(tensor, 1).await?[0])
    }

    async fn read_words(&self, tensor: TensorId, words: usize) -> Result<Vec<u32>> {
        let tensor = self.plan.tensor(tensor);
        let make = || staging_buffer(&self.device, &tensor.name, words);
        let context = format!("reading {}", tensor.name);
        let staging = self.device.checked(&context, make).await?;
        let mut encoder = self.encoder();
        let buffer = &self.buffers[tensor.buffer.index()];
        let offset = tensor.offset as u64 * WORD;
        encoder.copy_buffer_to_buffer(buffer, offset, &staging, 0, staging.size());
        let submission = self.device.queue.submit([encoder.finish()]);
        let (words, _) = Mapping::start(&self.device, staging, submission)
            .words()
            .await?;
        Ok(words)
    }

    /// Submits `phases` for each of `steps`, and asks for the metrics where a phase makes them.
    /// Returns before the adapter is done.
    ///
    /// # Errors
    /// A device that was lost or reported a fault before.
    pub(crate) fn run(
        &mut self,
        phases: &[Phase],
        steps: &[Step],
    ) -> Result<Option<PendingMetrics>> {
        let nodes: Vec<usize> = self.plan.nodes_of(phases).collect();
        let mut encoder = self.record(steps, |this, pass| this.dispatch_all(pass, &nodes))?;
        let tables = self
            .plan
            .metrics()
            .filter(|_| phases.contains(&Phase::Loss));
        let Some(tables) = tables else {
            self.device.queue.submit([encoder.finish()]);
            return Ok(None);
        };
        let staging = self.metrics_pool.take(&self.device);
        let table_bytes = STEPS_PER_RUN as u64 * WORD;
        for (i, table) in [tables.loss_sum, tables.correct].into_iter().enumerate() {
            let buffer = &self.buffers[self.plan.tensor(table).buffer.index()];
            encoder.copy_buffer_to_buffer(buffer, 0, &staging, i as u64 * table_bytes, table_bytes);
        }
        let submission = self.device.queue.submit([encoder.finish()]);
        Ok(Some(PendingMetrics {
            mapping: Mapping::start(&self.device, staging, submission),
            pool: self.metrics_pool.clone(),
            steps: steps.to_vec(),
        }))
    }

    /// Submits one op of the plan, by its place in [`Plan::nodes`], for one step.
    ///
    /// # Errors
    /// A device that was lost or reported a fault before.
    pub fn run_node(&mut self, node: usize, step: &Step) -> Result<()> {
        self.run_nodes(&[node], step)
    }

    /// Submits those ops for one step, in that order.
    ///
    /// # Errors
    /// As [`Executor::run_node`].
    pub(super) fn run_nodes(&mut self, nodes: &[usize], step: &Step) -> Result<()> {
        let encoder = self.record(&[*step], |this, pass| this.dispatch_all(pass, nodes))?;
        self.device.queue.submit([encoder.finish()]);
        Ok(())
    }

    /// Submits the first workgroup of one op.
    ///
    /// # Errors
    /// As [`Executor::run_node`].
    pub(super) fn touch_node(&mut self, node: usize, step: &Step) -> Result<()> {
        let encoder = self.record(&[*step], |this, pass| {
            this.dispatch_workgroups(pass, node, [1, 1]);
        })?;
        self.device.queue.submit([encoder.finish()]);
        Ok(())
    }

    /// One compute pass that dispatches the same once for each step.
    fn record(
        &mut self,
        steps: &[Step],
        dispatch: impl Fn(&Self, &mut wgpu::ComputePass<'_>),
    ) -> Result<wgpu::CommandEncoder> {
        self.write_steps(steps)?;
        let mut encoder = self.encoder();
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for i in 0..steps.len() {
            self.set_step(&mut pass, i);
            dispatch(self, &mut pass);
        }
        drop(pass);
        Ok(encoder)
    }

    fn dispatch_all(&self, pass: &mut wgpu::ComputePass<'_>, nodes: &[usize]) {
        for &node in nodes {
            self.dispatch(pass, node);
        }
    }

    /// Fills the table of steps, for what is submitted next.
    ///
    /// # Errors
    /// A device that was lost or reported a fault before.
    pub(super) fn write_steps(&mut self, steps: &[Step]) -> Result<()> {
        self.device.faults.check()?;
        self.step_bytes.clear();
        for step in steps {
            let next = self.step_bytes.len() + STEP_STRIDE;
            self.step_bytes.extend_from_slice(bytemuck::bytes_of(step));
            self.step_bytes.resize(next, 0);
        }
        self.device
            .queue
            .write_buffer(&self.step_table, 0, &self.step_bytes);
        Ok(())
    }

    /// The ops dispatched from here on see row `i` of the table of steps.
    pub(super) fn set_step(&self, pass: &mut wgpu::ComputePass<'_>, i: usize) {
        pass.set_bind_group(STEP_GROUP, &self.step_group, &[(i * STEP_STRIDE) as u32]);
    }

    /// Records one op.
    pub(super) fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>, node: usize) {
        self.dispatch_workgroups(pass, node, self.launches[node].workgroups);
    }

    /// Records so many workgroups of one op.
    fn dispatch_workgroups(&self, pass: &mut wgpu::ComputePass<'_>, node: usize, [x, y]: [u32; 2]) {
        let launch = &self.launches[node];
        pass.set_pipeline(&launch.pipeline);
        pass.set_bind_group(0, &launch.tensors, &[]);
        pass.dispatch_workgroups(x, y, 1);
    }

    pub(super) fn encoder(&self) -> wgpu::CommandEncoder {
        self.device
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }
}

/// The bytes of so many words, for kernels that read two at a time.
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

/// `workgroups` as a rectangle of at most `per_dimension` a side, the smallest that holds them.
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
