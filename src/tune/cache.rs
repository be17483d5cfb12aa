//! What was measured, on disk: a JSON object of microseconds, by adapter and kernel.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::files;

/// Microseconds, by adapter and driver, then by op and kernel.
type Measured = BTreeMap<String, BTreeMap<String, f64>>;

/// The measurements of one adapter. A file that cannot be read is as good as none, and one that cannot be
/// written costs the next run its measurements: neither is worth stopping for.
#[derive(Debug)]
pub(super) struct Cache {
    adapter: String,
    times: BTreeMap<String, f64>,
    is_new: bool,
}

impl Cache {
    /// What is known of `adapter`.
    pub fn load(adapter: &str) -> Self {
        let adapter = format!("wgrad {}, {adapter}", env!("CARGO_PKG_VERSION"));
        let times = read().remove(&adapter).unwrap_or_default();
        Cache {
            adapter,
            times,
            is_new: false,
        }
    }

    pub fn get(&self, kernel: &str) -> Option<Duration> {
        let micros = self.times.get(kernel).copied();
        micros.and_then(|micros| Duration::try_from_secs_f64(micros * 1e-6).ok())
    }

    pub fn insert(&mut self, kernel: String, time: Duration) {
        self.times.insert(kernel, time.as_secs_f64() * 1e6);
        self.is_new = true;
    }

    /// Adds what is new to the file.
    pub fn save(&self) {
        if !self.is_new {
            return;
        }
        let mut measured = read();
        measured
            .entry(self.adapter.clone())
            .or_default()
            .extend(self.times.clone());
        let path = path();
        let temporary = path.with_extension(format!("{}.new", std::process::id()));
        if let Ok(text) = serde_json::to_string_pretty(&measured) {
            let _ = files::replace(&path, &temporary, text.as_bytes());
        }
    }
}

fn read() -> Measured {
    let text = std::fs::read_to_string(path()).ok();
    text.and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

fn path() -> PathBuf {
    files::cache_folder().join("kernels.json")
}
