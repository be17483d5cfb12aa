//! Pipelines: one per kernel and set of constants.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

#[cfg(not(target_arch = "wasm32"))]
use rayon::prelude::*;

use super::device::Device;
use super::{checks, wide};
use crate::error::Result;
use crate::ops::{Launch, Op, Shader, Step};

/// The group of the uniform `this_step`, in every kernel.
pub(super) const STEP_GROUP: u32 = 1;

/// The identity of a module: its text, and whether it is compiled with run-time checks.
type ModuleKey = (Shader, bool);

/// The identity of a pipeline: module, entry point, constants.
type Key = (ModuleKey, &'static str, Vec<u64>);

/// Creates each pipeline once.
#[derive(Debug)]
pub(super) struct Pipelines {
    step_layout: wgpu::BindGroupLayout,
    layouts: Made<(usize, usize), wgpu::BindGroupLayout>,
    modules: Made<ModuleKey, wgpu::ShaderModule>,
    pipelines: Made<Key, wgpu::ComputePipeline>,
}

/// The pipelines, layouts and modules created so far.
#[derive(Debug)]
struct Made<K, T>(Mutex<HashMap<K, T>>);

impl<K: Hash + Eq, T: Clone> Made<K, T> {
    fn new() -> Self {
        Made(Mutex::new(HashMap::new()))
    }

    fn get(&self, key: &K) -> Option<T> {
        let made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        made.get(key).cloned()
    }

    fn insert(&self, key: K, value: T) {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        made.insert(key, value);
    }
}

impl Pipelines {
    pub fn new(device: &Device) -> Self {
        let entry = wgpu::BindGroupLayoutEntry {
            binding: 0,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Uniform,
                has_dynamic_offset: true,
                min_binding_size: wgpu::BufferSize::new(size_of::<Step>() as u64),
            },
            count: None,
        };
        let step_layout =
            device
                .device
                .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                    label: Some("step"),
                    entries: &[entry],
                });
        Pipelines {
            step_layout,
            layouts: Made::new(),
            modules: Made::new(),
            pipelines: Made::new(),
        }
    }

    /// The layout of the group that holds `this_step`.
    pub fn step_layout(&self) -> &wgpu::BindGroupLayout {
        &self.step_layout
    }

    /// The layout of group 0 with `inputs` read-only bindings, then `outputs` writable ones.
    pub fn layout(
        &self,
        device: &Device,
        (inputs, outputs): (usize, usize),
    ) -> wgpu::BindGroupLayout {
        self.layouts.get(&(inputs, outputs)).unwrap_or_else(|| {
            let entries: Vec<_> = (0..inputs + outputs)
                .map(|binding| wgpu::BindGroupLayoutEntry {
                    binding: binding as u32,
                    visibility: wgpu::ShaderStages::COMPUTE,
                    ty: wgpu::BindingType::Buffer {
                        ty: wgpu::BufferBindingType::Storage {
                            read_only: binding < inputs,
                        },
                        has_dynamic_offset: false,
                        min_binding_size: None,
                    },
                    count: None,
                })
                .collect();
            let descriptor = wgpu::BindGroupLayoutDescriptor {
                label: Some("tensors"),
                entries: &entries,
            };
            let layout = device.device.create_bind_group_layout(&descriptor);
            self.layouts.insert((inputs, outputs), layout.clone());
            layout
        })
    }

    /// The pipeline of `op`.
    ///
    /// # Errors
    /// The driver refused the kernel, which the error names by its entry point.
    pub async fn pipeline(&self, device: &Device, op: &dyn Op) -> Result<wgpu::ComputePipeline> {
        let key = key_of(device, op);
        if let Some(pipeline) = self.pipelines.get(&key) {
            return Ok(pipeline);
        }
        let module = self.module(device, op).await?;
        let pipeline = self.compile(device, op, &module).await?;
        self.pipelines.insert(key, pipeline.clone());
        Ok(pipeline)
    }

    /// Creates the pipelines of all `ops` in parallel. GL has one context for all threads, and the
    /// web one thread: there each pipeline is created on first use.
    ///
    /// # Errors
    /// As [`Pipelines::pipeline`].
    #[cfg_attr(target_arch = "wasm32", expect(unused_variables))]
    pub async fn compile_ahead(
        &self,
        device: &Device,
        ops: impl Iterator<Item = &dyn Op>,
    ) -> Result<()> {
        #[cfg(not(target_arch = "wasm32"))]
        if device.device.adapter_info().backend != wgpu::Backend::Gl {
            let mut ops: HashMap<Key, &dyn Op> = ops.map(|op| (key_of(device, op), op)).collect();
            ops.retain(|key, _| self.pipelines.get(key).is_none());
            for op in ops.values() {
                self.module(device, *op).await?;
            }
            // It only awaits errors, which have arrived by then.
            let compile = |op: &dyn Op| pollster::block_on(self.pipeline(device, op)).map(drop);
            ops.into_par_iter()
                .map(|(_, op)| compile(op))
                .collect::<Result<()>>()?;
        }
        Ok(())
    }

    /// The WGSL of `op`.
    async fn module(&self, device: &Device, op: &dyn Op) -> Result<wgpu::ShaderModule> {
        let key @ (shader, checks) = (op.launch().shader, checks::has_checks(device, op));
        if let Some(module) = self.modules.get(&key) {
            return Ok(module);
        }
        let source = shader.source(wide::loads(device.device.features()));
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(op.name()),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        };
        let make = || checks::module(&device.device, descriptor, checks);
        let module = device.checked(&context(op), make).await?;
        self.modules.insert(key, module.clone());
        Ok(module)
    }

    async fn compile(
        &self,
        device: &Device,
        op: &dyn Op,
        module: &wgpu::ShaderModule,
    ) -> Result<wgpu::ComputePipeline> {
        let bindings = op.bindings();
        let tensors = self.layout(device, (bindings.inputs.len(), bindings.outputs.len()));
        let make = || {
            let layout = device
                .device
                .create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                    label: Some(op.name()),
                    bind_group_layouts: &[Some(&tensors), Some(&self.step_layout)],
                    immediate_size: 0,
                });
            device
                .device
                .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                    label: Some(op.name()),
                    layout: Some(&layout),
                    module,
                    entry_point: Some(op.name()),
                    compilation_options: wgpu::PipelineCompilationOptions {
                        constants: &constants(op.launch()),
                        // Kernels write it before they read it. A driver that clears each word
                        // separately took six seconds to compile one kernel.
                        zero_initialize_workgroup_memory: false,
                    },
                    cache: None,
                })
        };
        device.checked(&context(op), make).await
    }
}

fn constants(launch: Launch) -> Vec<(&'static str, f64)> {
    let workgroup_size = ("WORKGROUP_SIZE", launch.workgroup_size as f64);
    launch.constants([workgroup_size]).constants
}

fn key_of(device: &Device, op: &dyn Op) -> Key {
    let launch = op.launch();
    let module = (launch.shader, checks::has_checks(device, op));
    let values = constants(launch).into_iter();
    let values = values.map(|(_, value)| value.to_bits());
    (module, op.name(), values.collect())
}

fn context(op: &dyn Op) -> String {
    format!("compiling kernel `{}`", op.name())
}
