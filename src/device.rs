//! Devices, on which plans run: an adapter, or the CPU reference.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::executor::Executor;
use crate::notices::Notices;
use crate::plan::Plan;
use crate::{cpu, gpu, spot};

/// A device to run plans, and the reason why it was chosen.
#[derive(Debug, Clone)]
pub struct Device {
    /// `None` for the CPU reference.
    adapter: Option<gpu::Adapter>,
    reason: String,
    spot_checks: bool,
}

impl Device {
    /// The best adapter (discrete, then integrated, virtual, software), or the CPU reference if
    /// there is none. wgpu's variables apply: `WGPU_BACKEND` restricts the backends,
    /// `WGPU_ADAPTER_NAME` is part of the name of the required adapter.
    ///
    /// # Errors
    /// `WGPU_BACKEND` names an unknown backend, or no adapter matches `WGPU_ADAPTER_NAME`.
    pub async fn auto() -> Result<Self> {
        match Device::gpu(None).await {
            Err(Error::NoAdapter { .. }) if !gpu::is_named_by_variable() => Ok(Device {
                adapter: None,
                reason: "no adapter was found".to_owned(),
                spot_checks: true,
            }),
            device => device,
        }
    }

    /// The best GPU. If there is none, the CPU reference, which trains faster than a software
    /// adapter on the same processor; but the adapter that `WGPU_ADAPTER_NAME` names, of any kind.
    ///
    /// # Errors
    /// As [`Device::auto`].
    pub async fn fastest() -> Result<Self> {
        let device = Device::auto().await?;
        let is_software = device.adapter().is_some_and(gpu::Adapter::is_software);
        match is_software && !gpu::is_named_by_variable() {
            true => Ok(Device {
                adapter: None,
                reason: "no GPU was found, and software adapters are slower".to_owned(),
                spot_checks: true,
            }),
            false => Ok(device),
        }
    }

    /// The adapter that `name` selects: a number is its index in [`Device::all`], anything else
    /// part of its name or backend. Without a name, the one that the variable `WGPU_ADAPTER_NAME`
    /// selects, or the best one.
    ///
    /// # Errors
    /// No adapter was found, or none matches `name`; the error lists those found. Or `WGPU_BACKEND`
    /// names an unknown backend.
    pub async fn gpu(name: Option<&str>) -> Result<Self> {
        let (adapter, reason) = gpu::choose(name).await?;
        Ok(Device {
            adapter: Some(adapter),
            reason,
            spot_checks: true,
        })
    }

    /// The CPU reference.
    pub fn cpu() -> Self {
        Device {
            adapter: None,
            reason: "it was asked for".to_owned(),
            spot_checks: true,
        }
    }

    /// All adapters of this machine, including GL's, whose driver may print to the terminal when
    /// queried.
    ///
    /// # Errors
    /// No adapter was found, or `WGPU_BACKEND` names an unknown backend.
    pub async fn all() -> Result<Vec<Self>> {
        let adapters = gpu::enumerate_all().await?;
        if adapters.is_empty() {
            return Err(Error::NoAdapter {
                asked: "GPU computation".to_owned(),
                found: "none".to_owned(),
            });
        }
        let devices = adapters.into_iter().enumerate().map(|(i, adapter)| Device {
            adapter: Some(adapter),
            reason: format!("number {i} of all"),
            spot_checks: true,
        });
        Ok(devices.collect())
    }

    /// The device with its limits lowered to at most `limits`, to test plans for a smaller adapter.
    #[must_use]
    pub fn with_limits(mut self, limits: wgpu::Limits) -> Self {
        if let Some(adapter) = &mut self.adapter {
            adapter.limit(limits);
        }
        self
    }

    /// The device with a lower loop limit: at most that many iterations over all loops of an
    /// invocation. Plans split longer loops, or are refused.
    #[must_use]
    pub fn with_longest_loop(mut self, iterations: u64) -> Self {
        if let Some(adapter) = &mut self.adapter {
            adapter.limit_loops(iterations);
        }
        self
    }

    /// The device with wgpu's run-time checks in every kernel (indices clamped, loops counted,
    /// divisions guarded), or without them in the crate's own, which is possible on Vulkan only:
    /// see [`gpu::Adapter::has_checks`].
    #[must_use]
    pub fn with_runtime_checks(mut self, checks: bool) -> Self {
        if let Some(adapter) = &mut self.adapter {
            adapter.check_at_run_time(checks);
        }
        self
    }

    /// The device without spot checks: [`Device::load`] trusts every kernel.
    #[must_use]
    pub fn without_spot_checks(mut self) -> Self {
        self.spot_checks = false;
        self
    }

    /// Whether kernels are checked before they first run at a size.
    pub(crate) fn has_spot_checks(&self) -> bool {
        self.spot_checks
    }

    /// The reason for choosing this device.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The adapter, unless it is the CPU reference.
    pub fn adapter(&self) -> Option<&gpu::Adapter> {
        self.adapter.as_ref()
    }

    /// The most bytes of one tensor: the adapter's limit, or 1 GiB for the CPU reference.
    pub(crate) fn largest_tensor(&self) -> usize {
        let most = self.adapter.as_ref().map(gpu::Adapter::largest_tensor);
        most.map_or(1 << 30, |most| usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// Allocates the plan's memory and creates everything else needed to run it.
    ///
    /// On an adapter, loops that exceed its limit are split, and each kernel that it has not run at
    /// that size before is checked on synthetic inputs: see [`Device::without_spot_checks`]. A
    /// kernel that fails is replaced by another of its op.
    ///
    /// # Errors
    /// The plan exceeds a limit of the adapter, memory ran out, the driver refused a kernel, or all
    /// kernels of an op are wrong.
    pub async fn load(&self, plan: Plan) -> Result<Executor> {
        self.load_noting(plan, &mut Notices::default()).await
    }

    /// Like [`Device::load`]; `notices` receives messages for the user, such as a kernel that is
    /// wrong.
    ///
    /// # Errors
    /// As [`Device::load`].
    pub async fn load_noting(&self, plan: Plan, notices: &mut Notices) -> Result<Executor> {
        let mut executor = match &self.adapter {
            None => Executor::Cpu(cpu::Executor::new(Arc::new(plan))?),
            Some(adapter) => {
                let plan = spot::prepare(adapter, plan, self.spot_checks, notices).await?;
                Executor::Gpu(gpu::Executor::new(adapter, Arc::new(plan)).await?)
            }
        };
        executor.write_constants()?;
        Ok(executor)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.adapter {
            Some(adapter) => adapter.fmt(f),
            None => write!(f, "CPU reference, {} threads", rayon::current_num_threads()),
        }
    }
}
