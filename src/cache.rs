//! The disk cache of measured times, kernel choices and passed checks: a JSON object keyed by
//! adapter and driver.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::files::{self, NoLock};

/// How long to wait for the lock: other processes hold it for some milliseconds each.
const WAIT: Duration = Duration::from_secs(5);

/// The entries of one adapter.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    /// The time of one dispatch, by op and kernel.
    microseconds: BTreeMap<String, f64>,
    /// The choices for a plan, as text, by its checksum.
    choices: BTreeMap<String, String>,
    /// The loop limit of an invocation.
    #[serde(default)]
    longest_loop: Option<u64>,
    /// The kernels that passed their spot check, by size and shader.
    #[serde(default)]
    passed: BTreeSet<String>,
}

/// The cached data of one adapter. An unreadable file counts as empty, and if the file cannot be
/// written, the next run measures again: neither is an error.
#[derive(Debug)]
pub(crate) struct Cache {
    path: PathBuf,
    adapter: String,
    known: Known,
    /// Whether there is anything to save.
    is_changed: bool,
}

impl Cache {
    /// Loads the entries of `adapter`.
    pub fn load(adapter: &str) -> Self {
        Cache::load_from(files::cache_folder().join("kernels.json"), adapter)
    }

    fn load_from(path: PathBuf, adapter: &str) -> Self {
        let adapter = format!("wgrad {}, {adapter}", env!("CARGO_PKG_VERSION"));
        let known = read(&path).remove(&adapter).unwrap_or_default();
        Cache {
            path,
            adapter,
            known,
            is_changed: false,
        }
    }

    /// Discards times and choices, so that everything is measured again.
    pub fn forget_times(&mut self) {
        self.known.microseconds.clear();
        self.known.choices.clear();
    }

    pub fn time(&self, kernel: &str) -> Option<Duration> {
        let micros = self.known.microseconds.get(kernel)?;
        Duration::try_from_secs_f64(micros * 1e-6).ok()
    }

    pub fn insert_time(&mut self, kernel: String, time: Duration) {
        let micros = time.as_secs_f64() * 1e6;
        self.known.microseconds.insert(kernel, micros);
        self.is_changed = true;
    }

    pub fn choices(&self, plan: &str) -> Option<&str> {
        self.known.choices.get(plan).map(String::as_str)
    }

    pub fn insert_choices(&mut self, plan: String, choices: String) {
        self.known.choices.insert(plan, choices);
        self.is_changed = true;
    }

    pub fn longest_loop(&self) -> Option<u64> {
        self.known.longest_loop
    }

    pub fn set_longest_loop(&mut self, iterations: u64) {
        self.is_changed |= self.known.longest_loop != Some(iterations);
        self.known.longest_loop = Some(iterations);
    }

    pub fn has_passed(&self, kernel: &str) -> bool {
        self.known.passed.contains(kernel)
    }

    pub fn insert_passed(&mut self, kernel: String) {
        self.is_changed |= self.known.passed.insert(kernel);
    }

    /// Merges the entries into the file, including those added by others since it was read. The
    /// error is a line with the reason.
    pub fn save(self) -> std::result::Result<(), String> {
        let Cache {
            path,
            adapter,
            known,
            is_changed,
        } = self;
        if !is_changed {
            return Ok(());
        }
        let without = |reason: &dyn std::fmt::Display| {
            let path = path.display();
            format!("{path}: measured kernels are not remembered: {reason}")
        };
        // Held from reading to writing, so that no entry of another process is lost.
        let _lock = match files::lock(&path.with_extension("lock"), WAIT) {
            Ok(lock) => lock,
            Err(NoLock::Io(error)) => return Err(without(&error)),
            Err(NoLock::InUse(_)) => return Err(without(&"in use by another process")),
        };
        let mut all = read(&path);
        let on_disk = all.entry(adapter).or_default();
        on_disk.microseconds.extend(known.microseconds);
        on_disk.choices.extend(known.choices);
        on_disk.longest_loop = known.longest_loop.or(on_disk.longest_loop);
        on_disk.passed.extend(known.passed);
        let text = serde_json::to_string_pretty(&all).map_err(|error| without(&error))?;
        files::replace(&path, text.as_bytes()).map_err(|error| without(&error))
    }
}

fn read(path: &Path) -> BTreeMap<String, Known> {
    let text = std::fs::read_to_string(path).ok();
    let known = text.and_then(|text| serde_json::from_str(&text).ok());
    known.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_saved_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache/kernels.json");
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    for entry in 0..5 {
                        let mut cache = Cache::load_from(path.clone(), "adapter");
                        cache.insert_time(format!("{writer}.{entry}"), Duration::from_micros(1));
                        cache.save().unwrap();
                    }
                });
            }
        });
        let found = Cache::load_from(path, "adapter").known.microseconds.len();
        println!("{found} of 40 entries");
        assert_eq!(found, 40);
    }

    #[test]
    fn a_cache_that_cannot_be_written_says_so_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let path = file.join("kernels.json");
        let mut cache = Cache::load_from(path.clone(), "adapter");
        cache.insert_time("kernel".to_owned(), Duration::from_micros(1));
        let line = cache.save().unwrap_err();
        let expected = format!("{}: measured kernels are not remembered: ", path.display());
        assert!(
            line.starts_with(&expected) && !line.contains('\n'),
            "{line}"
        );
    }
}
