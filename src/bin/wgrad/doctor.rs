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
    let machine = Machine::examine().await?;
    match args.json {
        true => say!("{:#}", machine.json())?,
        false => say!("{}", machine.text())?,
    }
    match machine.failed() {
        0 => Ok(()),
        failed => Err(Error::value(
            "adapters",
            "all to pass the check",
            format!("{failed} that fail"),
        )),
    }
}

/// The adapters of this machine.
pub struct Machine {
    /// What is taken by default, and why.
    taken: String,
    adapters: Vec<Examined>,
}

struct Examined {
    device: Device,
    /// Seconds of the check.
    check: Result<f64>,
}

impl Machine {
    /// Trains a small network on each adapter.
    ///
    /// # Errors
    /// A driver cannot be asked.
    pub async fn examine() -> Result<Self> {
        let devices = match Device::all().await {
            Ok(devices) => devices,
            Err(Error::NoAdapter { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        let taken = Device::fastest().await?;
        let mut adapters = Vec::new();
        for device in devices {
            let check = check(&device).await;
            adapters.push(Examined { device, check });
        }
        Ok(Machine {
            taken: format!("{taken}: {}", taken.reason()),
            adapters,
        })
    }

    /// How many adapters fail the check.
    pub fn failed(&self) -> usize {
        let failed = self.adapters.iter().filter(|one| one.check.is_err());
        failed.count()
    }

    pub fn text(&self) -> String {
        let mut text = format!(
            "wgrad {}, {}, {} processors\n",
            env!("CARGO_PKG_VERSION"),
            system(),
            processors()
        );
        for (number, examined) in self.adapters.iter().enumerate() {
            text += &format!("\n{number}: {}", examined.text());
        }
        if self.adapters.is_empty() {
            text += "No adapter was found: install a Vulkan driver (Debian, Ubuntu: \
                     mesa-vulkan-drivers)\n";
        }
        text + &format!("\nTaken by default: {}", self.taken)
    }

    pub fn json(&self) -> Value {
        json!({
            "wgrad": env!("CARGO_PKG_VERSION"),
            "system": system(),
            "processors": processors(),
            "adapters": self.adapters.iter().map(Examined::json).collect::<Vec<_>>(),
            "auto": self.taken,
        })
    }
}

impl Examined {
    fn text(&self) -> String {
        let Some(adapter) = self.device.adapter() else {
            return format!("{}\n", self.device);
        };
        let info = adapter.info();
        let has = FEATURES.map(
            |(name, feature)| match adapter.features().contains(feature) {
                true => name.to_owned(),
                false => format!("no {name}"),
            },
        );
        let limits = limits(adapter.limits()).map(|(name, value)| format!("{name} {value}"));
        let check = match &self.check {
            Ok(seconds) => format!(
                "check: the tutorial's network trains, and its kernels are right ({seconds:.1} s)"
            ),
            Err(error) => format!("check FAILED: {error}"),
        };
        let lines = [
            adapter.to_string(),
            format!(
                "backend {}, {}, driver {}",
                adapter.backend(),
                adapter.kind(),
                driver(info)
            ),
            format!(
                "subgroups of {} to {}",
                info.subgroup_min_size, info.subgroup_max_size
            ),
            has.join(", "),
            match adapter.has_checks() {
                true => format!(
                    "run-time checks in every kernel, as far as wgpu has them for {}",
                    adapter.backend()
                ),
                false => "no run-time checks in wgrad's own kernels".to_owned(),
            },
            limits.join(", "),
            check,
        ];
        lines.join("\n   ") + "\n"
    }

    fn json(&self) -> Value {
        match self.device.adapter() {
            Some(adapter) => describe(adapter, &self.check),
            None => json!(self.device.to_string()),
        }
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

fn describe(adapter: &gpu::Adapter, check: &Result<f64>) -> Value {
    let info = adapter.info();
    let features = FEATURES.map(|(name, feature)| (name, adapter.features().contains(feature)));
    json!({
        "name": adapter.name(),
        "backend": adapter.backend(),
        "kind": adapter.kind(),
        "driver": driver(info),
        "subgroups": [info.subgroup_min_size, info.subgroup_max_size],
        "runtime_checks": adapter.has_checks(),
        "features": features.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "limits": limits(adapter.limits()).into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "check": match check {
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
