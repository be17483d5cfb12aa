//! The folder of a run: `runs/NAME`, or `runs/NAME-2` and so on if that exists.
//!
//! | file | content |
//! | --- | --- |
//! | `args.toml` | the options: `wgrad train --args FILE` repeats the run |
//! | `results.csv` | a line for each epoch |
//! | `log.txt` | what was printed |
//! | `weights/last.safetensors` | the state after the last epoch, to resume |
//! | `weights/best.safetensors` | that of the epoch with the highest accuracy on the test set |
//! | `results.svg`, `confusion_matrix.svg` | charts |
//! | `tensorboard` | the same as `results.csv`, for TensorBoard, with `--tensorboard` |
//! | `plots` | what `wgrad plot` draws |
//! | `training_images.svg` | training images, as random changes leave them |
//! | `test_images.svg` | test images, with the answers of the best weights |

use std::fmt::{Arguments, Write as _};
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use wgrad::{Error, FolderLock, Result};

use crate::common::{Output, say};

pub const ARGS: &str = "args.toml";
pub const WEIGHTS: &str = "weights";
pub const LAST: &str = "last.safetensors";
pub const BEST: &str = "best.safetensors";
pub const RESULTS: &str = "results.csv";
const LOG: &str = "log.txt";

/// The first name that no folder has, up to this number.
const MOST_RUNS: usize = 100_000;

pub struct RunFolder {
    path: PathBuf,
    log: File,
    /// Lines to print later, while something else has the terminal.
    held: Option<Vec<String>>,
    /// Nobody else may write to the folder.
    _lock: FolderLock,
}

impl RunFolder {
    /// Creates a folder called `name` in `runs`, or with a number added if that exists.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn create(runs: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(runs).map_err(|source| io(runs, source))?;
        for number in 1..MOST_RUNS {
            let path = match number {
                1 => runs.join(name),
                _ => runs.join(format!("{name}-{number}")),
            };
            match fs::create_dir(&path) {
                Ok(()) => return RunFolder::open(&path),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(source) => return Err(io(&path, source)),
            }
        }
        Err(Error::value("--name", "a name for a new folder", name))
    }

    /// Opens the folder of an earlier run.
    ///
    /// # Errors
    /// It cannot be written, or another process uses it.
    pub fn open(path: &Path) -> Result<Self> {
        let lock = FolderLock::take(path)?;
        let weights = path.join(WEIGHTS);
        fs::create_dir_all(&weights).map_err(|source| io(&weights, source))?;
        let file = path.join(LOG);
        let log = File::options().append(true).create(true).open(&file);
        Ok(RunFolder {
            path: path.to_owned(),
            log: log.map_err(|source| io(&file, source))?,
            held: None,
            _lock: lock,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn last(&self) -> PathBuf {
        self.path.join(WEIGHTS).join(LAST)
    }

    pub fn best(&self) -> PathBuf {
        self.path.join(WEIGHTS).join(BEST)
    }

    /// Prints a line, and adds it to the log.
    ///
    /// # Errors
    /// It cannot be printed or written.
    pub fn say(&mut self, line: Arguments<'_>) -> Result<()> {
        let written = writeln!(self.log, "{line}");
        written.map_err(|source| io(&self.path.join(LOG), source))?;
        match &mut self.held {
            Some(held) => held.push(line.to_string()),
            None => say!("{line}")?,
        }
        Ok(())
    }

    /// Keeps lines, which still go to the log, until [`RunFolder::release`].
    pub fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Prints the lines that were kept.
    ///
    /// # Errors
    /// They cannot be printed.
    pub fn release(&mut self) -> Result<()> {
        let held = self.held.take().unwrap_or_default();
        held.iter().try_for_each(|line| say!("{line}"))
    }

    /// Writes a file of the folder, atomically.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, content: &str) -> Result<()> {
        Output::open(&self.path.join(name))?.replace(content.as_bytes())
    }
}

/// The results of an epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    pub epoch: u64,
    pub train_loss: f64,
    pub train_accuracy: f64,
    pub test_loss: f64,
    pub test_accuracy: f64,
    pub images_per_second: f64,
    pub seconds: f64,
}

const HEADER: &str = "epoch,train_loss,train_accuracy,test_loss,test_accuracy,\
                      images_per_second,seconds";

/// The epochs of a run, as `results.csv` keeps them.
#[derive(Debug, Default)]
pub struct Results {
    pub epochs: Vec<Epoch>,
}

impl Results {
    /// Reads those of a folder, up to epoch `last`.
    ///
    /// # Errors
    /// The file exists and cannot be read.
    pub fn read(folder: &Path, last: u64) -> Result<Self> {
        let path = folder.join(RESULTS);
        if !path.exists() {
            return Ok(Results::default());
        }
        let text = fs::read_to_string(&path).map_err(|source| io(&path, source))?;
        let mut epochs = Vec::new();
        for (number, line) in text.lines().enumerate().skip(1) {
            let epoch = parse(line).ok_or_else(|| Error::Data {
                path: path.clone(),
                expected: format!(
                    "{} numbers in line {}",
                    HEADER.split(',').count(),
                    number + 1
                ),
                got: line.to_owned(),
            })?;
            epochs.push(epoch);
        }
        epochs.retain(|epoch| epoch.epoch <= last);
        Ok(Results { epochs })
    }

    pub fn csv(&self) -> String {
        let mut text = format!("{HEADER}\n");
        for Epoch {
            epoch,
            train_loss,
            train_accuracy,
            test_loss,
            test_accuracy,
            images_per_second,
            seconds,
        } in &self.epochs
        {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{epoch},{train_loss},{train_accuracy},{test_loss},{test_accuracy},\
                 {images_per_second:.1},{seconds:.1}"
            );
        }
        text
    }

    /// The epoch with the highest accuracy on the test set; of several that with the lowest loss;
    /// of several the first, which `max_by` finds from the end.
    pub fn best(&self) -> Option<&Epoch> {
        self.epochs.iter().rev().max_by(|a, b| {
            let by_accuracy = a.test_accuracy.total_cmp(&b.test_accuracy);
            by_accuracy.then(b.test_loss.total_cmp(&a.test_loss))
        })
    }
}

fn parse(line: &str) -> Option<Epoch> {
    let mut parts = line.split(',');
    let mut number = || parts.next()?.parse::<f64>().ok();
    Some(Epoch {
        epoch: number()? as u64,
        train_loss: number()?,
        train_accuracy: number()?,
        test_loss: number()?,
        test_accuracy: number()?,
        images_per_second: number()?,
        seconds: number()?,
    })
}

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        path: path.to_owned(),
        source,
    }
}
