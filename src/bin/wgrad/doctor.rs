//! `wgrad doctor`.

use std::time::Instant;

use serde_json::{Value, json};
use wgrad::data::{Dataset, Samples};
use wgrad::nn::models;
use wgrad::wgpu::{AdapterInfo, Features, Limits};
use wgrad::{Config, Device, Error, Loss, Result, Sgd, Trainer, gpu};

use crate::common::say;

/// Features that kernels use, or may use one day.
const FEATURES: [(&str, Features); 4] = [
    ("timestamps", Features::TIMESTAMP_QUERY),
    ("subgroups", Features::SUBGROUP),
    ("f16", Features::SHADER_F16),
    (
        "cooperative matrices",
        Features::EXPERIMENTAL_COOPERATIVE_MATRIX,
    ),
];

#[derive(Debug, clap::Args)]
#[command(after_help = "Paste its output into a report of a problem.")]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(args: &Args) -> Result<()> {
    let devices = match Device::all().await {
        Ok(devices) => devices,
        Err(Error::NoAdapter { .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    let taken = Device::fastest().await?;
    let taken = format!("{taken}: {}", taken.reason());
    let mut adapters = Vec::new();
    for device in &devices {
        if let Some(adapter) = device.adapter() {
            let checked = check(device).await;
            adapters.push((adapter, checked));
        }
    }
    if args.json {
        let adapters = adapters
            .iter()
            .map(|(adapter, checked)| describe(adapter, checked));
        return say!(
            "{:#}",
            json!({
                "wgrad": env!("CARGO_PKG_VERSION"),
                "system": system(),
                "processors": processors(),
                "adapters": adapters.collect::<Vec<_>>(),
                "auto": taken,
            })
        );
    }
    say!(
        "wgrad {}, {}, {} processors",
        env!("CARGO_PKG_VERSION"),
        system(),
        processors()
    )?;
    for (number, (adapter, checked)) in adapters.iter().enumerate() {
        let info = adapter.info();
        say!("\n{number}: {adapter}")?;
        say!(
            "   backend {}, {}, driver {}",
            adapter.backend(),
            adapter.kind(),
            driver(info)
        )?;
        say!(
            "   subgroups of {} to {}",
            info.subgroup_min_size,
            info.subgroup_max_size
        )?;
        let has = FEATURES.map(
            |(name, feature)| match adapter.features().contains(feature) {
                true => name.to_owned(),
                false => format!("no {name}"),
            },
        );
        say!("   {}", has.join(", "))?;
        let limits = limits(adapter.limits()).map(|(name, value)| format!("{name} {value}"));
        say!("   {}", limits.join(", "))?;
        match checked {
            Ok(seconds) => say!(
                "   check: the tutorial's network trains, and its kernels are right ({seconds:.1} s)"
            )?,
            Err(error) => say!("   check FAILED: {error}")?,
        }
    }
    if adapters.is_empty() {
        say!(
            "No adapter was found: install a Vulkan driver (Debian, Ubuntu: mesa-vulkan-drivers)"
        )?;
    }
    say!("\nTaken by default: {taken}")?;
    match adapters
        .iter()
        .filter(|(_, checked)| checked.is_err())
        .count()
    {
        0 => Ok(()),
        failed => Err(Error::value(
            "adapters",
            "all to pass the check",
            format!("{failed} that fail"),
        )),
    }
}

/// Seconds of an epoch of two steps, before which each kernel is compared with the CPU reference.
async fn check(device: &Device) -> Result<f64> {
    let begun = Instant::now();
    let samples = |len: usize| Samples {
        images: (0..len * 784).map(|at| (at * 37 % 251) as u8).collect(),
        labels: (0..len).map(|at| (at % 10) as u8).collect(),
    };
    let data = Dataset::new([1, 28, 28], 10, samples(64), samples(32))?;
    let config = Config::new(Loss::CrossEntropy, Sgd::new(0.01));
    let mut trainer = Trainer::new(device, &models::tutorial(1), &data, config).await?;
    trainer.train_epoch(|_| {}).await?;
    Ok(begun.elapsed().as_secs_f64())
}

fn limits(limits: &Limits) -> [(&'static str, u64); 4] {
    [
        ("bytes of a binding", limits.max_storage_buffer_binding_size),
        (
            "storage buffers",
            limits.max_storage_buffers_per_shader_stage.into(),
        ),
        (
            "bytes of workgroup memory",
            limits.max_compute_workgroup_storage_size.into(),
        ),
        (
            "invocations of a workgroup",
            limits.max_compute_invocations_per_workgroup.into(),
        ),
    ]
}

fn describe(adapter: &gpu::Adapter, checked: &Result<f64>) -> Value {
    let info = adapter.info();
    let features = FEATURES.map(|(name, feature)| (name, adapter.features().contains(feature)));
    json!({
        "name": adapter.name(),
        "backend": adapter.backend(),
        "kind": adapter.kind(),
        "driver": driver(info),
        "subgroups": [info.subgroup_min_size, info.subgroup_max_size],
        "features": features.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "limits": limits(adapter.limits()).into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "check": match checked {
            Ok(seconds) => json!({ "seconds": seconds }),
            Err(error) => json!({ "error": error.to_string() }),
        },
    })
}

fn driver(info: &AdapterInfo) -> String {
    format!("{} {}", info.driver, info.driver_info)
        .trim()
        .to_owned()
}

fn system() -> String {
    format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}
