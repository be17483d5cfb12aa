//! An adapter, with its limits and what was measured of it.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use wgpu::{Backend, DeviceType};

use super::Workbench;
use super::aside::{Aside, Threads};
use super::checks::may_be_unchecked;
use super::device::required_limits;
use crate::error::Result;
use crate::ops::Op;
use crate::plan::Plan;

const BACKENDS: [Backend; 5] = [
    Backend::Vulkan,
    Backend::Metal,
    Backend::Dx12,
    Backend::Gl,
    Backend::BrowserWebGpu,
];

/// The minimum subgroup size that kernels rely on.
const LEAST_SUBGROUP: u32 = 8;

/// The thread that owns GL's context.
type Shared = (Aside, Arc<Threads>);

/// A GPU, or a software adapter, as its driver presents it.
#[derive(Debug, Clone)]
pub struct Adapter {
    pub(super) inner: wgpu::Adapter,
    info: wgpu::AdapterInfo,
    /// The limits that it offers.
    pub(super) limits: wgpu::Limits,
    /// The measured loop limit of an invocation, in iterations.
    longest_loop: Arc<OnceLock<u64>>,
    /// An upper bound on the loop limit, whatever was measured.
    most_iterations: u64,
    /// Whether its kernels are compiled with wgpu's run-time checks.
    checks: bool,
    /// A device left over from tuning, with its compiled pipelines, for the next plan.
    spare: Arc<Mutex<Option<Workbench>>>,
    /// On GL, the thread that owns the context, once started.
    context: Arc<Mutex<Option<Shared>>>,
}

impl Adapter {
    /// As its driver presents it, with run-time checks in kernels where they are wanted or cannot be
    /// left out.
    pub(super) fn new(inner: wgpu::Adapter, checks: bool) -> Self {
        let info = inner.get_info();
        Adapter {
            checks: checks || !may_be_unchecked(info.backend),
            limits: inner.limits(),
            info,
            inner,
            longest_loop: Arc::default(),
            most_iterations: u64::MAX,
            spare: Arc::default(),
            context: Arc::default(),
        }
    }

    /// The name that the driver reports.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// `vulkan`, `metal`, `dx12`, `gl` or `webgpu`.
    pub fn backend(&self) -> &'static str {
        self.info.backend.to_str()
    }

    /// Whether it is a software adapter.
    pub fn is_software(&self) -> bool {
        self.info.device_type == DeviceType::Cpu
    }

    /// What the driver reports of itself.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.info
    }

    /// The limits that it offers.
    pub fn limits(&self) -> &wgpu::Limits {
        &self.limits
    }

    /// The features that it supports.
    pub fn features(&self) -> wgpu::Features {
        self.inner.features()
    }

    /// The kind in words: discrete GPU, integrated GPU, ….
    pub fn kind(&self) -> &'static str {
        match self.info.device_type {
            DeviceType::DiscreteGpu => "discrete GPU",
            DeviceType::IntegratedGpu => "integrated GPU",
            DeviceType::VirtualGpu => "virtual GPU",
            DeviceType::Cpu => "software",
            DeviceType::Other => "GPU of unknown kind",
        }
    }

    /// The subgroup feature, if supported and subgroups are large enough for the kernels.
    pub(super) fn subgroups(&self) -> wgpu::Features {
        if self.info.subgroup_min_size < LEAST_SUBGROUP {
            return wgpu::Features::empty();
        }
        self.inner.features() & wgpu::Features::SUBGROUP
    }

    /// The timestamp features, if supported.
    pub(super) fn timestamps(&self) -> wgpu::Features {
        self.inner.features() & wgpu::Features::TIMESTAMP_QUERY
    }

    /// Whether kernels can use subgroups.
    pub fn has_subgroups(&self) -> bool {
        !self.subgroups().is_empty()
    }

    /// Whether it has the features and the workgroup memory that the op's kernel needs.
    pub(crate) fn runs(&self, op: &dyn Op) -> bool {
        let invocations = u64::from(self.limits.max_compute_invocations_per_workgroup);
        let bytes = u64::from(self.limits.max_compute_workgroup_storage_size);
        let launch = op.launch();
        (self.has_subgroups() || !launch.needs_subgroups)
            && launch.workgroup_size <= invocations
            && launch.workgroup_bytes <= bytes
    }

    /// The loop limit of an invocation: iterations counted over all its loops, up to 2²⁰, as
    /// measured when a plan was first loaded; `None` before that.
    pub fn longest_loop(&self) -> Option<u64> {
        let measured = self.longest_loop.get().copied();
        measured.map(|measured| measured.min(self.most_iterations))
    }

    /// Stores the measured loop limit.
    pub(crate) fn set_longest_loop(&self, measured: u64) {
        // Another thread may have set it already.
        let _ = self.longest_loop.set(measured);
    }

    /// Lowers the loop limit to at most `most` iterations.
    pub(crate) fn limit_loops(&mut self, most: u64) {
        self.most_iterations = most;
    }

    /// Whether the crate's own kernels are compiled with wgpu's run-time checks; those of other ops
    /// always are. They are off on Vulkan, unless the variable `WGRAD_RUNTIME_CHECKS` is set, and on
    /// elsewhere.
    pub fn has_checks(&self) -> bool {
        self.checks
    }

    /// Turns run-time checks on, or off where the driver bounds accesses of buffers.
    pub(crate) fn check_at_run_time(&mut self, checks: bool) {
        self.checks = checks || !may_be_unchecked(self.info.backend);
        // A spare device holds pipelines compiled otherwise.
        self.spare = Arc::default();
    }

    /// The text under which the results of its kernels are kept.
    pub(crate) fn cache_key(&self) -> String {
        match self.checks {
            true => self.to_string(),
            false => format!("{self}, unchecked kernels"),
        }
    }

    /// Whether a plan is within its limits.
    pub(crate) fn fits(&self, plan: &Plan) -> bool {
        required_limits(self, plan).is_ok()
    }

    /// The most bytes of one tensor.
    pub(crate) fn largest_tensor(&self) -> u64 {
        let most = self.limits.max_storage_buffer_binding_size;
        most.min(self.limits.max_buffer_size)
    }

    /// Lowers its limits to at most `limits`.
    pub(crate) fn limit(&mut self, limits: wgpu::Limits) {
        self.limits = limits.or_worse_values_from(&self.limits);
        // A spare device has the previous limits.
        self.spare = Arc::default();
    }

    /// The threads for a device about to be opened; all GL devices share one.
    ///
    /// # Errors
    /// The operating system refused a thread.
    pub(super) fn aside(&self) -> Result<(Aside, Arc<Threads>)> {
        if self.info.backend != Backend::Gl {
            return Aside::start(false);
        }
        let mut context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match &*context {
            Some(aside) => aside.clone(),
            None => context.insert(Aside::start(true)?).clone(),
        })
    }

    /// Hands the tuning device to the next plan, unless it reported a fault.
    pub(crate) fn leave(&self, bench: Option<Workbench>) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        *spare = bench.filter(Workbench::is_healthy);
    }

    /// Takes the device handed over, if any.
    pub(crate) fn take_spare(&self) -> Option<Workbench> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.take().filter(Workbench::is_healthy)
    }

    /// Discrete, integrated, virtual, unknown, software: lower is better.
    pub(super) fn rank(&self) -> usize {
        match self.info.device_type {
            DeviceType::DiscreteGpu => 0,
            DeviceType::IntegratedGpu => 1,
            DeviceType::VirtualGpu => 2,
            DeviceType::Other => 3,
            DeviceType::Cpu => 4,
        }
    }

    /// Whether `text` matches this adapter: its backend if `text` is a backend's name ("gl" is also
    /// part of "Google"), else part of its name or of its backend's name.
    pub(super) fn answers_to(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        if BACKENDS.iter().any(|backend| backend.to_str() == text) {
            return self.backend() == text;
        }
        self.name().to_lowercase().contains(&text) || self.backend().contains(&text)
    }
}

impl fmt::Display for Adapter {
    /// Name, backend, driver, kind: `llvmpipe (LLVM 15.0.6, 256 bits), vulkan, llvmpipe Mesa
    /// 22.3.6, software`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let driver = format!("{} {}", self.info.driver, self.info.driver_info);
        let driver = match driver.trim() {
            "" => "unnamed driver",
            driver => driver,
        };
        write!(
            f,
            "{}, {}, {driver}, {}",
            self.name(),
            self.backend(),
            self.kind()
        )
    }
}
