//! Where plans run: an adapter, or the CPU reference; and why.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::executor::Executor;
use crate::plan::Plan;
use crate::{cpu, gpu};

/// A place to run plans, and the reason why it was chosen.
#[derive(Debug, Clone)]
pub struct Device {
    /// `None` is the CPU reference.
    adapter: Option<gpu::Adapter>,
    reason: String,
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
        })
    }

    /// The CPU reference.
    pub fn cpu() -> Self {
        Device {
            adapter: None,
            reason: "it was asked for".to_owned(),
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
    /// # Errors
    /// A limit of the adapter that the plan exceeds, memory that runs out, a kernel refused.
    pub async fn load(&self, plan: Plan) -> Result<Executor> {
        let plan = Arc::new(plan);
        Ok(match &self.adapter {
            Some(adapter) => Executor::Gpu(gpu::Executor::new(adapter, plan).await?),
            None => Executor::Cpu(cpu::Executor::new(plan)),
        })
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
