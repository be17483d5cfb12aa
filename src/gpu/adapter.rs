//! Finding adapters, and choosing one.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use wgpu::{Backend, Backends, DeviceType};

use super::Workbench;
use super::device::required_limits;
use crate::error::{Error, Result};
use crate::ops::Op;
use crate::plan::Plan;

const BACKENDS: [Backend; 5] = [
    Backend::Vulkan,
    Backend::Metal,
    Backend::Dx12,
    Backend::Gl,
    Backend::BrowserWebGpu,
];

/// Lanes that kernels count on where they use subgroups.
const LEAST_SUBGROUP: u32 = 8;

/// A driver's view of a GPU, or of a processor that plays one.
#[derive(Debug, Clone)]
pub struct Adapter {
    pub(super) inner: wgpu::Adapter,
    info: wgpu::AdapterInfo,
    /// What it offers.
    pub(super) limits: wgpu::Limits,
    /// Opened to measure kernels, which are compiled: for the plan that is loaded next.
    spare: Arc<Mutex<Option<Workbench>>>,
}

impl Adapter {
    /// Its name, as the driver gives it.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// `vulkan`, `metal`, `dx12`, `gl` or `webgpu`.
    pub fn backend(&self) -> &'static str {
        self.info.backend.to_str()
    }

    /// Whether a processor plays the GPU.
    pub fn is_software(&self) -> bool {
        self.info.device_type == DeviceType::Cpu
    }

    /// Discrete GPU, integrated GPU, …, in words.
    pub fn kind(&self) -> &'static str {
        match self.info.device_type {
            DeviceType::DiscreteGpu => "discrete GPU",
            DeviceType::IntegratedGpu => "integrated GPU",
            DeviceType::VirtualGpu => "virtual GPU",
            DeviceType::Cpu => "software",
            DeviceType::Other => "GPU of unknown kind",
        }
    }

    /// The feature of subgroups, if it has them and they are large enough for the kernels.
    pub(super) fn subgroups(&self) -> wgpu::Features {
        if self.info.subgroup_min_size < LEAST_SUBGROUP {
            return wgpu::Features::empty();
        }
        self.inner.features() & wgpu::Features::SUBGROUP
    }

    /// The feature of timestamps, if it has them.
    pub(super) fn timestamps(&self) -> wgpu::Features {
        self.inner.features() & wgpu::Features::TIMESTAMP_QUERY
    }

    /// Whether kernels can use subgroups.
    pub fn has_subgroups(&self) -> bool {
        !self.subgroups().is_empty()
    }

    /// Whether it has what that kernel needs.
    pub(crate) fn runs(&self, op: &dyn Op) -> bool {
        let most = u64::from(self.limits.max_compute_invocations_per_workgroup);
        (self.has_subgroups() || !op.needs_subgroups()) && op.workgroup_size() <= most
    }

    /// Whether a plan keeps to its limits.
    pub(crate) fn fits(&self, plan: &Plan) -> bool {
        required_limits(self, plan).is_ok()
    }

    /// Offers no more than `limits` from here on.
    pub(crate) fn limit(&mut self, limits: wgpu::Limits) {
        self.limits = limits.or_worse_values_from(&self.limits);
    }

    /// Leaves what measuring is done with to the plan that is loaded next, unless it went wrong.
    pub(crate) fn leave(&self, bench: Option<Workbench>) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        *spare = bench.filter(Workbench::is_healthy);
    }

    /// What was left, once.
    pub(super) fn take_spare(&self) -> Option<Workbench> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.take()
    }

    /// Discrete, integrated, virtual, unknown, software: lower is better.
    fn rank(&self) -> usize {
        match self.info.device_type {
            DeviceType::DiscreteGpu => 0,
            DeviceType::IntegratedGpu => 1,
            DeviceType::VirtualGpu => 2,
            DeviceType::Other => 3,
            DeviceType::Cpu => 4,
        }
    }

    /// Whether a user who typed `text` means this adapter: its backend, if `text` is one's name
    /// ("gl" is a part of "Google" too), else part of its name or of its backend's.
    fn answers_to(&self, text: &str) -> bool {
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

/// The adapters of `backends` that can run compute shaders, the best first. The variable
/// `WGPU_BACKEND`, where set, narrows the backends.
pub async fn enumerate(backends: Backends) -> Vec<Adapter> {
    let backends = match Backends::from_env() {
        Some(allowed) => backends & allowed,
        None => backends,
    };
    if backends.is_empty() {
        return Vec::new();
    }
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    descriptor.flags = wgpu::InstanceFlags::empty().with_env();
    let instance = wgpu::Instance::new(descriptor);
    let mut adapters: Vec<Adapter> = instance
        .enumerate_adapters(backends)
        .await
        .into_iter()
        .map(|inner| Adapter {
            info: inner.get_info(),
            limits: inner.limits(),
            inner,
            spare: Arc::default(),
        })
        .filter(|adapter| adapter.info.backend != Backend::Noop)
        .filter(|adapter| {
            let flags = adapter.inner.get_downlevel_capabilities().flags;
            flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
        })
        .collect();
    adapters.sort_by_key(Adapter::rank);
    adapters
}

/// Every adapter: Vulkan, Metal, DX12 and WebGPU first, then GL, whose driver may print to the
/// terminal when asked.
pub(crate) async fn enumerate_all() -> Vec<Adapter> {
    let mut adapters = enumerate(Backends::PRIMARY).await;
    adapters.extend(enumerate(Backends::GL).await);
    adapters
}

/// The adapter that `wanted` names (part of a name or backend, or an index into [`enumerate_all`]), or the
/// best one, and why. GL is asked only where no GPU is reached otherwise, or where nothing else
/// answers to the name.
///
/// # Errors
/// No adapter at all, or none that `wanted` fits.
pub(crate) async fn choose(wanted: Option<&str>) -> Result<(Adapter, String)> {
    let mut adapters = enumerate(Backends::PRIMARY).await;
    match pick(&adapters, wanted) {
        Some((adapter, reason)) if wanted.is_some() || !adapter.is_software() => {
            return Ok((adapter, reason));
        }
        _ => adapters.extend(enumerate(Backends::GL).await),
    }
    pick(&adapters, wanted).ok_or_else(|| Error::NoAdapter {
        asked: match wanted {
            Some(wanted) => format!("`{wanted}`"),
            None => "GPU computation".to_owned(),
        },
        found: match adapters.len() {
            0 => "none".to_owned(),
            _ => {
                let lines = adapters
                    .iter()
                    .enumerate()
                    .map(|(i, a)| format!("{i}: {a}"));
                lines.collect::<Vec<_>>().join("; ")
            }
        },
    })
}

fn pick(adapters: &[Adapter], wanted: Option<&str>) -> Option<(Adapter, String)> {
    let Some(text) = wanted else {
        let best = adapters.iter().min_by_key(|adapter| adapter.rank())?;
        return Some((best.clone(), reason_for_best(best, adapters.len())));
    };
    // A number counts adapters, unless there are not so many: then it is part of a name, as in
    // "RTX 4090".
    let index = text.parse::<usize>().ok();
    if let Some((index, adapter)) = index.and_then(|index| Some((index, adapters.get(index)?))) {
        return Some((adapter.clone(), format!("number {index} was asked for")));
    }
    let named = adapters.iter().find(|adapter| adapter.answers_to(text))?;
    Some((named.clone(), format!("`{text}` was asked for")))
}

fn reason_for_best(best: &Adapter, count: usize) -> String {
    match (best.is_software(), count) {
        (true, _) => "no GPU was found, only software".to_owned(),
        (false, 1) => "the only adapter found".to_owned(),
        (false, _) => format!("the best of {count} adapters, a {}", best.kind()),
    }
}
