//! Opens a device with the limits that a plan needs, and records its later faults.

use std::any::Any;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wgpu::WasmNotSend;

use super::answer::Ask;
use super::aside::{Aside, Threads};
use super::{Adapter, WORD, wide};
use crate::error::{Error, Result};
use crate::ops::WORKGROUP_SIZE;
use crate::plan::{Node, Plan};

/// An open device, its queue, and the first fault that either reported.
#[derive(Debug)]
pub(super) struct Device {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub faults: Faults,
    /// [`Adapter::has_checks`].
    pub checks: bool,
    aside: Aside,
}

/// A device as held outside its threads.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    device: Arc<Device>,
    /// Dropped after the device: see [`Threads`].
    _threads: Arc<Threads>,
}

impl Deref for Opened {
    type Target = Arc<Device>;

    fn deref(&self) -> &Arc<Device> {
        &self.device
    }
}

impl Device {
    /// Opens `adapter` with [`default_limits`] and the largest buffers that it offers.
    ///
    /// # Errors
    /// The driver refused to open a device.
    pub async fn with_large_buffers(adapter: &Adapter) -> Result<Opened> {
        let offered = &adapter.limits;
        let limits = wgpu::Limits {
            max_buffer_size: offered.max_buffer_size,
            max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
            ..default_limits(adapter)
        };
        Device::with_limits(adapter, limits).await
    }

    /// Opens `adapter` with `required_limits`.
    ///
    /// # Errors
    /// The driver refused to open a device.
    pub async fn with_limits(adapter: &Adapter, required_limits: wgpu::Limits) -> Result<Opened> {
        let (aside, threads) = adapter.aside()?;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wgrad"),
            required_limits,
            required_features: adapter.subgroups() | adapter.timestamps() | wide::feature(adapter),
            ..Default::default()
        };
        let context = format!("opening {}", adapter.name());
        let (inner, own, checks) = (adapter.inner.clone(), aside.clone(), adapter.has_checks());
        let open = move || async move {
            let opened = inner.request_device(&descriptor).await;
            opened.map(|(device, queue)| Arc::new(Device::new(device, queue, checks, own)))
        };
        let opened = aside.run(open).await?;
        drop(aside);
        let device = opened.map_err(|error| Error::gpu(context, error))?;
        Ok(Opened {
            device,
            _threads: threads,
        })
    }

    fn new(device: wgpu::Device, queue: wgpu::Queue, checks: bool, aside: Aside) -> Self {
        let faults = Faults::default();
        let lost = faults.clone();
        device.set_device_lost_callback(move |reason, message| {
            lost.report(Fault::Lost(format!("{reason:?}: {message}")));
        });
        let uncaptured = faults.clone();
        device.on_uncaptured_error(Arc::new(move |error| {
            uncaptured.report(Fault::Refused(error.to_string()));
        }));
        Device {
            device,
            queue,
            faults,
            checks,
            aside,
        }
    }

    /// See [`Aside::call`].
    pub fn call(&self, job: impl FnOnce() + WasmNotSend + 'static) {
        self.aside.call(job);
    }

    /// See [`Aside::run`].
    ///
    /// # Errors
    /// The thread has ended.
    pub async fn run<T, F>(&self, job: impl FnOnce() -> F + WasmNotSend + 'static) -> Result<T>
    where
        T: WasmNotSend + 'static,
        F: Future<Output = T>,
    {
        self.aside.run(job).await
    }

    /// See [`Aside::wait`]. If this thread owns the context, and the driver finished the work
    /// within the submit, as software adapters do, the answer comes at once.
    pub fn wait(&self, submission: wgpu::SubmissionIndex, asked: Arc<dyn Ask>) {
        if self.aside.has_context() {
            let _ = self.device.poll(wgpu::PollType::Poll);
        }
        self.aside.wait(&self.device, submission, asked);
    }

    /// See [`Aside::keep`].
    pub fn keep(&self, needed: Arc<dyn Any + Send + Sync>) {
        self.aside.keep(needed);
    }

    /// Checks that the device is not lost, and has reported no fault.
    ///
    /// # Errors
    /// The device was lost or reported a fault: the first one.
    pub fn check(&self) -> Result<()> {
        let found = self.faults.check();
        if let Err(Error::Gpu { .. }) = found {
            // The loss of a device is reported by a poll once nothing is in flight.
            let _ = self.device.poll(wgpu::PollType::Poll);
            pollster::block_on(self.aside.callbacks());
            return self.faults.check();
        }
        found
    }

    /// `error`, or the loss of the device if that caused it: wgpu reports some errors only as an
    /// invalid object.
    pub async fn cause(&self, error: Error) -> Error {
        if let Error::Gpu { .. } = error {
            let device = self.device.clone();
            let settle = move || async move {
                let _ = device.poll(wgpu::PollType::Wait {
                    submission_index: None,
                    timeout: Some(SETTLED),
                });
            };
            let _ = self.run(settle).await;
            self.aside.callbacks().await;
        }
        self.faults.cause(error)
    }

    /// Destroys the device.
    pub fn destroy(&self) {
        let reason = "it was destroyed".to_owned();
        self.faults.report(Fault::Lost(reason));
        let device = self.device.clone();
        self.call(move || device.destroy());
    }

    /// Whether the adapter's clock can be read.
    pub fn has_timestamps(&self) -> bool {
        let features = self.device.features();
        features.contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Runs `make` and returns its result, or the error that the driver or wgpu's validation raised
    /// meanwhile.
    pub async fn checked<T>(&self, context: &str, make: impl FnOnce() -> T) -> Result<T> {
        use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
        let scopes =
            [Internal, OutOfMemory, Validation].map(|filter| self.device.push_error_scope(filter));
        let made = make();
        // Popped before anything is awaited: scopes belong to a thread, and the future should not.
        let errors: Vec<_> = scopes.into_iter().rev().map(|scope| scope.pop()).collect();
        for error in errors {
            if let Some(error) = error.await {
                return Err(self.faults.cause(Error::gpu(context, error)));
            }
        }
        self.faults.check()?;
        Ok(made)
    }
}

/// How long a device that reported a fault may take to report its loss.
const SETTLED: Duration = Duration::from_secs(1);

/// wgpu's message for errors caused by the loss of the device.
const LOST: &str = "device is lost";

enum Fault {
    Lost(String),
    Refused(String),
}

/// The first fault that a device reported outside an error scope.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults(Arc<Mutex<Option<Fault>>>);

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Fault::Lost(message) | Fault::Refused(message)) = self;
        f.write_str(message)
    }
}

impl Faults {
    fn report(&self, fault: Fault) {
        let fault = match fault {
            Fault::Refused(message) if message.contains(LOST) => Fault::Lost(message),
            fault => fault,
        };
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*first, &fault) {
            // The loss of the device explains all earlier faults.
            (None, _) | (Some(Fault::Refused(_)), Fault::Lost(_)) => *first = Some(fault),
            _ => {}
        }
    }

    /// `error`, or the loss of the device if that caused it.
    pub fn cause(&self, error: Error) -> Error {
        if let Error::Gpu { message, .. } = &error
            && message.contains(LOST)
        {
            self.report(Fault::Lost(message.clone()));
        }
        match self.check() {
            Err(lost @ Error::DeviceLost(_)) => lost,
            _ => error,
        }
    }

    /// # Errors
    /// A fault was reported: the first one.
    pub fn check(&self) -> Result<()> {
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*first {
            None => Ok(()),
            Some(Fault::Lost(message)) => Err(Error::DeviceLost(message.clone())),
            Some(Fault::Refused(message)) => Err(Error::gpu("running a plan", message)),
        }
    }
}

/// WebGPU's default limits, lowered where the adapter has less and no kernel needs it, and all of
/// its workgroups.
fn default_limits(adapter: &Adapter) -> wgpu::Limits {
    let offered = &adapter.limits;
    wgpu::Limits {
        max_compute_invocations_per_workgroup: offered.max_compute_invocations_per_workgroup,
        max_compute_workgroup_size_x: offered.max_compute_workgroup_size_x,
        max_compute_workgroup_storage_size: offered.max_compute_workgroup_storage_size,
        ..wgpu::Limits::default().or_worse_values_from(offered)
    }
}

/// [`default_limits`], raised to the plan's needs.
///
/// # Errors
/// The plan exceeds a limit of the adapter, which the error names.
pub(crate) fn required_limits(adapter: &Adapter, plan: &Plan) -> Result<wgpu::Limits> {
    let offered = &adapter.limits;
    let mut limits = default_limits(adapter);
    let refuse = |what: &str, needed: u64, unit, limit: u64, name| {
        if needed <= limit {
            return Ok(());
        }
        Err(Error::Limit {
            what: what.to_owned(),
            needed,
            unit,
            adapter: adapter.name().to_owned(),
            limit,
            name,
        })
    };
    for (number, buffer) in plan.buffers().iter().enumerate() {
        // Of tensors that share a buffer, the first of the largest needs it to be as large.
        let tensors = plan.tensors().iter();
        let largest = tensors
            .filter(|tensor| tensor.buffer.index() == number)
            .min_by_key(|tensor| std::cmp::Reverse(tensor.words()));
        let name = largest.map_or(&buffer.name, |tensor| &tensor.name);
        let bytes = buffer.words as u64 * WORD;
        let binding = offered.max_storage_buffer_binding_size;
        refuse(
            name,
            bytes,
            "bytes",
            binding,
            "max_storage_buffer_binding_size",
        )?;
        refuse(
            name,
            bytes,
            "bytes",
            offered.max_buffer_size,
            "max_buffer_size",
        )?;
        limits.max_storage_buffer_binding_size = limits.max_storage_buffer_binding_size.max(bytes);
        limits.max_buffer_size = limits.max_buffer_size.max(bytes);
    }
    for node in plan.nodes() {
        let op = node.op.name();
        let buffers = (node.inputs.len() + node.outputs.len()) as u64;
        let name = "max_storage_buffers_per_shader_stage";
        refuse(
            op,
            buffers,
            "storage buffers",
            limits.max_storage_buffers_per_shader_stage.into(),
            name,
        )?;
        let per_dimension = u64::from(limits.max_compute_workgroups_per_dimension);
        let workgroups = node.op.launch().workgroups();
        let name = "max_compute_workgroups_per_dimension, squared";
        refuse(
            op,
            workgroups,
            "workgroups",
            per_dimension * per_dimension,
            name,
        )?;
    }
    let invocations = u64::from(limits.max_compute_invocations_per_workgroup);
    let name = "max_compute_invocations_per_workgroup";
    refuse(
        "a workgroup",
        WORKGROUP_SIZE,
        "invocations",
        invocations,
        name,
    )?;
    Ok(limits)
}

/// Refuses kernels that need what the adapter lacks.
///
/// # Errors
/// There is such a kernel: the first one.
pub(crate) fn check_kernels(adapter: &Adapter, plan: &Plan) -> Result<()> {
    let mut nodes = plan.nodes().iter();
    match nodes.find(|node| !adapter.runs(node.op.as_ref())) {
        None => Ok(()),
        Some(node) => {
            let launch = node.op.launch();
            let kernel = format!("kernel `{}`", node.op.name());
            let needs = match launch.needs_subgroups {
                true => "an adapter with subgroups".to_owned(),
                false => format!(
                    "an adapter with workgroups of {} invocations and {} bytes",
                    launch.workgroup_size, launch.workgroup_bytes
                ),
            };
            Err(Error::value(kernel, needs, adapter))
        }
    }
}

/// Refuses loops that the adapter would cut short.
///
/// # Errors
/// The loops of an op exceed the measured limit: the first such op.
pub(crate) fn check_loops(adapter: &Adapter, plan: &Plan) -> Result<()> {
    let limit = adapter.longest_loop().unwrap_or(u64::MAX);
    let is_long = |node: &&Node| node.op.launch().longest_loop > limit;
    let Some(node) = plan.nodes().iter().find(is_long) else {
        return Ok(());
    };
    let output = &plan.tensor(node.outputs[0]).name;
    Err(Error::Limit {
        what: format!("{} of {output}", node.op.name()),
        needed: node.op.launch().longest_loop,
        unit: "iterations of an invocation's loops",
        adapter: adapter.name().to_owned(),
        limit,
        name: "longest loop, as measured",
    })
}
