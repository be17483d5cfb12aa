//! The options that choose a device.

use clap::{Args, ValueEnum};
use wgrad::{Device, Error, Result};

#[derive(Debug, Clone, Args)]
pub struct DeviceArgs {
    /// The device: the best GPU or else the CPU reference; the best adapter, also a software one; the
    /// CPU reference
    #[arg(long, value_enum, default_value_t = Where::Auto)]
    device: Where,
    /// Part of an adapter's name or backend, or its number in the list of all; implies --device gpu
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Where {
    Auto,
    Gpu,
    Cpu,
}

impl DeviceArgs {
    /// Opens the device.
    ///
    /// # Errors
    /// No adapter matches, or one was named beside the CPU reference.
    pub async fn open(&self) -> Result<Device> {
        match (self.device, &self.adapter) {
            (Where::Auto, None) => Device::fastest().await,
            (Where::Auto | Where::Gpu, name) => Device::gpu(name.as_deref()).await,
            (Where::Cpu, None) => Ok(Device::cpu()),
            (Where::Cpu, Some(name)) => {
                Err(Error::value("--adapter", "no --device cpu beside it", name))
            }
        }
    }
}
