//! Where plans run: an adapter, or the CPU reference; and why.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::executor::Executor;
use crate::notices::Notices;
use crate::plan::Plan;
use crate::{cpu, gpu, spot};

/// A place to run plans, and the reason why it was chosen.
#[derive(Debug, Clone)]
pub struct Device {
    /// `None` is the CPU reference.
    adapter: Option<gpu::Adapter>,
    reason: String,
    spot_checks: bool,
}

impl Device {
    /// The best adapter (discrete, then integrated, virtual, software), or the CPU reference where
    /// there is none. wgpu's variables count: `WGPU_BACKEND` narrows the backends, `WGPU_ADAPTER_NAME`
    /// is part of the name of the adapter that it must be.
    ///
    /// # Errors
    /// A backend in the one that does not exist, an adapter in the other.
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

    /// The adapter that `name` means: a number is its place in [`Device::all`], anything else part of its
    /// name or backend. Without a name the one that the variable `WGPU_ADAPTER_NAME` means, or the best
    /// one.
    ///
    /// # Errors
    /// No adapter, or none that `name` fits; the error lists those found. A backend in `WGPU_BACKEND`
    /// that does not exist.
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

    /// Every adapter of this machine, GL's included: the driver of GL may print to the terminal when
    /// it is asked.
    ///
    /// # Errors
    /// There is none; a backend in `WGPU_BACKEND` that does not exist.
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

    /// The same adapter, as if it offered no more than `limits`: what a smaller one would say of a plan.
    #[must_use]
    pub fn with_limits(mut self, limits: wgpu::Limits) -> Self {
        if let Some(adapter) = &mut self.adapter {
            adapter.limit(limits);
        }
        self
    }

    /// The same adapter, as if it ended the loops of an invocation after so many iterations, all of them
    /// counted together: plans split longer ones, or are refused.
    #[must_use]
    pub fn with_longest_loop(mut self, iterations: u64) -> Self {
        if let Some(adapter) = &mut self.adapter {
            adapter.limit_loops(iterations);
        }
        self
    }

    /// The same device without spot checks: [`Device::load`] takes every kernel for right.
    #[must_use]
    pub fn without_spot_checks(mut self) -> Self {
        self.spot_checks = false;
        self
    }

    /// Whether kernels are checked before they run at a size for the first time.
    pub(crate) fn has_spot_checks(&self) -> bool {
        self.spot_checks
    }

    /// Why this device.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The adapter, unless it is the CPU reference.
    pub fn adapter(&self) -> Option<&gpu::Adapter> {
        self.adapter.as_ref()
    }

    /// Makes the plan's memory and everything else that running it takes.
    ///
    /// On an adapter, loops that are longer than it lets them be are split, and each kernel that it has not
    /// run at that size before is checked on made-up inputs: see [`Device::without_spot_checks`]. One that is
    /// wrong gives way to another of its op.
    ///
    /// # Errors
    /// A limit of the adapter that the plan exceeds, memory that runs out, a kernel refused, an op whose
    /// kernels are all wrong.
    pub async fn load(&self, plan: Plan) -> Result<Executor> {
        self.load_noting(plan, &mut Notices::default()).await
    }

    /// As [`Device::load`]; `notices` takes what a user should know of it, such as a kernel that is wrong.
    ///
    /// # Errors
    /// As [`Device::load`].
    pub async fn load_noting(&self, plan: Plan, notices: &mut Notices) -> Result<Executor> {
        let Some(adapter) = &self.adapter else {
            return Ok(Executor::Cpu(cpu::Executor::new(Arc::new(plan))?));
        };
        let plan = spot::prepare(adapter, plan, self.spot_checks, notices).await?;
        Ok(Executor::Gpu(
            gpu::Executor::new(adapter, Arc::new(plan)).await?,
        ))
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
