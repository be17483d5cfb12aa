//! What was measured and chosen, on disk: a JSON object by adapter and driver.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Choices;
use crate::files;

/// What is known of one adapter.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    /// The time of one dispatch, by op and kernel.
    microseconds: BTreeMap<String, f64>,
    /// What was chosen for a plan, by its checksum.
    choices: BTreeMap<String, String>,
}

/// The measurements and choices of one adapter. A file that cannot be read is as good as none, and one that
/// cannot be written costs the next run its measurements: neither is worth stopping for.
#[derive(Debug)]
pub(super) struct Cache {
    adapter: String,
    known: Known,
}

impl Cache {
    /// What is known of `adapter`.
    pub fn load(adapter: &str) -> Self {
        let adapter = format!("wgrad {}, {adapter}", env!("CARGO_PKG_VERSION"));
        let known = read().remove(&adapter).unwrap_or_default();
        Cache { adapter, known }
    }

    /// Takes nothing for known, so that all is measured anew.
    pub fn forget(&mut self) {
        self.known = Known::default();
    }

    pub fn time(&self, kernel: &str) -> Option<Duration> {
        let micros = self.known.microseconds.get(kernel)?;
        Duration::try_from_secs_f64(micros * 1e-6).ok()
    }

    pub fn insert_time(&mut self, kernel: String, time: Duration) {
        let micros = time.as_secs_f64() * 1e6;
        self.known.microseconds.insert(kernel, micros);
    }

    pub fn choices(&self, plan: &str) -> Option<Choices> {
        self.known.choices.get(plan)?.parse().ok()
    }

    pub fn insert_choices(&mut self, plan: String, choices: &Choices) {
        self.known.choices.insert(plan, choices.to_string());
    }

    /// Adds what is known to the file.
    pub fn save(self) {
        let mut all = read();
        let on_disk = all.entry(self.adapter).or_default();
        on_disk.microseconds.extend(self.known.microseconds);
        on_disk.choices.extend(self.known.choices);
        let path = path();
        let temporary = path.with_extension(format!("{}.new", std::process::id()));
        if let Ok(text) = serde_json::to_string_pretty(&all) {
            let _ = files::replace(&path, &temporary, text.as_bytes());
        }
    }
}

fn read() -> BTreeMap<String, Known> {
    let text = std::fs::read_to_string(path()).ok();
    let known = text.and_then(|text| serde_json::from_str(&text).ok());
    known.unwrap_or_default()
}

fn path() -> PathBuf {
    files::cache_folder().join("kernels.json")
}
