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
    /// there is none.
    ///
    /// # Errors
    /// None today; adapters that fail to open report it when a plan is loaded.
    pub async fn auto() -> Result<Self> {
        match Device::gpu(None).await {
            Err(Error::NoAdapter { .. }) => Ok(Device {
                adapter: None,
                reason: "no adapter was found".to_owned(),
            }),
            device => device,
        }
    }

    /// The adapter that `name` means (part of an adapter's name or backend, or its place in
    /// [`Device::all`]), or the best one.
    ///
    /// # Errors
    /// No adapter, or none that `name` fits; the error lists those found.
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
    /// There is none.
    pub async fn all() -> Result<Vec<Self>> {
        let adapters = gpu::enumerate_all().await;
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
            None => Executor::Cpu(cpu::Executor::new(plan)?),
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
