//! Finding adapters, and choosing one.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use wgpu::{Backend, Backends, DeviceType};

use super::Workbench;
use super::aside::{Aside, Threads, apart};
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
    /// A device left over from tuning, with its compiled pipelines, for the next plan.
    spare: Arc<Mutex<Option<Workbench>>>,
    /// On GL, the thread that owns the context, once started.
    context: Arc<Mutex<Option<Shared>>>,
}

impl Adapter {
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

    /// Whether it supports the features that the op's kernel needs.
    pub(crate) fn runs(&self, op: &dyn Op) -> bool {
        let most = u64::from(self.limits.max_compute_invocations_per_workgroup);
        let launch = op.launch();
        (self.has_subgroups() || !launch.needs_subgroups) && launch.workgroup_size <= most
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
    fn rank(&self) -> usize {
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

/// The names allowed in `WGPU_BACKEND`, wgpu's variable.
const BACKEND_NAMES: [&str; 11] = [
    "vulkan", "vk", "metal", "mtl", "dx12", "d3d12", "gl", "gles", "opengl", "webgpu", "noop",
];

/// The backends that the variable `WGPU_BACKEND` allows: all, if it is unset or empty.
///
/// # Errors
/// It contains an unknown name, which wgpu would ignore.
fn allowed_backends() -> Result<Backends> {
    let Some(names) = variable("WGPU_BACKEND") else {
        return Ok(Backends::all());
    };
    let unknown = |name: &&str| !BACKEND_NAMES.contains(&name.trim().to_lowercase().as_str());
    if let Some(name) = names.split(',').find(unknown) {
        let expected = format!("names among {}", BACKEND_NAMES.join(", "));
        return Err(Error::value("WGPU_BACKEND", expected, format!("`{name}`")));
    }
    Ok(Backends::from_comma_list(&names))
}

/// The value of an environment variable, if set and not empty.
fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// The adapters of `backends` that can run compute shaders, the best first. The variable
/// `WGPU_BACKEND`, if set, restricts the backends.
///
/// # Errors
/// That variable contains an unknown name.
pub async fn enumerate(backends: Backends) -> Result<Vec<Adapter>> {
    let backends = backends & allowed_backends()?;
    if backends.is_empty() {
        return Ok(Vec::new());
    }
    // Loading drivers takes long.
    let found = apart(move || async move {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = backends;
        descriptor.flags = wgpu::InstanceFlags::empty().with_env();
        let instance = wgpu::Instance::new(descriptor);
        instance.enumerate_adapters(backends).await
    });
    let mut adapters: Vec<Adapter> = found
        .await?
        .into_iter()
        .map(|inner| Adapter {
            info: inner.get_info(),
            limits: inner.limits(),
            inner,
            longest_loop: Arc::default(),
            most_iterations: u64::MAX,
            spare: Arc::default(),
            context: Arc::default(),
        })
        .filter(|adapter| adapter.info.backend != Backend::Noop)
        .filter(|adapter| {
            let flags = adapter.inner.get_downlevel_capabilities().flags;
            flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
        })
        .collect();
    adapters.sort_by_key(Adapter::rank);
    Ok(adapters)
}

/// All adapters: Vulkan, Metal, DX12 and WebGPU first, then GL, whose driver may print to the
/// terminal when queried.
///
/// # Errors
/// As [`enumerate`].
pub(crate) async fn enumerate_all() -> Result<Vec<Adapter>> {
    let mut adapters = enumerate(Backends::PRIMARY).await?;
    adapters.extend(enumerate(Backends::GL).await?);
    Ok(adapters)
}

/// The adapter that a user requested.
enum Wanted<'a> {
    Best,
    /// An index into [`enumerate_all`].
    Number(usize),
    /// Part of a name or of a backend, and the variable or flag that it came from.
    Name(&'a str, String),
}

/// The adapter that `wanted` names (a number of [`enumerate_all`], or part of a name or backend),
/// or without it the one that the variable `WGPU_ADAPTER_NAME` names, or else the best one; and the
/// reason. GL is queried only if no GPU is reached otherwise, or if nothing else matches the name.
///
/// # Errors
/// No adapter was found, or none matches `wanted`: the error lists the adapters found.
pub(crate) async fn choose(wanted: Option<&str>) -> Result<(Adapter, String)> {
    let named = variable(ADAPTER_NAME);
    let wanted = match (wanted, &named) {
        (Some(text), _) => match text.trim().parse() {
            Err(_) if text.trim().is_empty() => {
                return Err(Error::value(
                    "adapter",
                    "a number, or part of a name or backend",
                    "nothing",
                ));
            }
            Ok(number) => Wanted::Number(number),
            Err(_) => Wanted::Name(text, format!("`{text}`")),
        },
        (None, Some(name)) => Wanted::Name(name, format!("{ADAPTER_NAME} `{name}`")),
        (None, None) => Wanted::Best,
    };
    let mut adapters = enumerate(Backends::PRIMARY).await?;
    let (is_number, is_best) = (
        matches!(wanted, Wanted::Number(_)),
        matches!(wanted, Wanted::Best),
    );
    match pick(&adapters, &wanted) {
        Some(picked) if !(is_number || is_best && picked.0.is_software()) => return Ok(picked),
        _ => adapters.extend(enumerate(Backends::GL).await?),
    }
    pick(&adapters, &wanted).ok_or_else(|| Error::NoAdapter {
        asked: match wanted {
            Wanted::Best => "GPU computation".to_owned(),
            Wanted::Number(number) => format!("number {number}"),
            Wanted::Name(_, asked) => asked,
        },
        found: list(&adapters),
    })
}

/// wgpu's variable for the default adapter of programs.
const ADAPTER_NAME: &str = "WGPU_ADAPTER_NAME";

/// Whether that variable names an adapter: then no other may be used in its place.
pub(crate) fn is_named_by_variable() -> bool {
    variable(ADAPTER_NAME).is_some()
}

fn list(adapters: &[Adapter]) -> String {
    let lines = adapters.iter().enumerate();
    let lines: Vec<String> = lines
        .map(|(i, adapter)| format!("{i}: {adapter}"))
        .collect();
    match lines.is_empty() {
        true => "none".to_owned(),
        false => lines.join("; "),
    }
}

fn pick(adapters: &[Adapter], wanted: &Wanted<'_>) -> Option<(Adapter, String)> {
    let (adapter, reason) = match wanted {
        Wanted::Best => {
            let best = adapters.iter().min_by_key(|adapter| adapter.rank())?;
            (best, reason_for_best(best, adapters.len()))
        }
        Wanted::Number(number) => {
            let reason = format!("number {number} was asked for");
            (adapters.get(*number)?, reason)
        }
        Wanted::Name(name, asked) => {
            let mut named = adapters.iter().filter(|adapter| adapter.answers_to(name));
            (named.next()?, format!("{asked} was asked for"))
        }
    };
    Some((adapter.clone(), reason))
}

fn reason_for_best(best: &Adapter, count: usize) -> String {
    match (best.is_software(), count) {
        (true, _) => "no GPU was found, only software".to_owned(),
        (false, 1) => "the only adapter found".to_owned(),
        (false, _) => format!("the best of {count} adapters, a {}", best.kind()),
    }
}
