//! The checkpoints of `mnist_gpu`, and its handling of interruptions.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wgrad::data::Dataset;
use wgrad::{Checkpoint, EpochReport, Error, FolderLock, Progress, Result, Trainer};

use super::{Args, OnNan};
use crate::common::signals::{self, is_interrupted};
use crate::common::{advance, complain, progress_bar, say};

/// The checkpoint's file name in its folder.
pub const LAST: &str = "last.safetensors";

/// Trains epochs, and saves checkpoints: periodically, after each epoch, and on Ctrl-C.
pub struct Checkpoints {
    /// `last.safetensors` in the checkpoint folder, if one was given.
    file: Option<PathBuf>,
    every: Duration,
    on_nan: OnNan,
    /// Whether the file belongs to this training, which wrote it or resumed from it.
    is_ours: Cell<bool>,
    /// Whether a device was lost since the file was last written.
    was_lost: Cell<bool>,
    /// Whether the user was told that the loss or a weight is not finite.
    told: Cell<bool>,
}

/// Adds the option and the file to an error about a checkpoint.
fn of_file(option: &str, file: &Path, error: Error) -> Error {
    let of = |what| format!("{option} {}: {what}", file.display());
    match error {
        Error::Value {
            what,
            expected,
            got,
        } => Error::value(of(what), expected, got),
        Error::Shape { at, expected, got } => Error::value(of(at), expected, got),
        other => other,
    }
}

impl Checkpoints {
    /// Locks the folder before this run reads or writes any file in it, until the lock is dropped.
    ///
    /// # Errors
    /// Another run holds the folder, or it has a checkpoint that this run does not resume.
    pub fn lock(args: &Args) -> Result<Option<FolderLock>> {
        let lock = args.checkpoint.as_ref().map(FolderLock::take).transpose()?;
        match args.checkpoint_file().filter(|file| file.exists()) {
            Some(file) if !args.resume => Err(Error::value(
                "--checkpoint",
                "--resume beside it, or a folder without a checkpoint",
                file.display(),
            )),
            _ => Ok(lock),
        }
    }

    pub fn new(args: &Args) -> Self {
        Checkpoints {
            file: args.checkpoint_file(),
            every: Duration::from_secs_f64(args.checkpoint_seconds),
            on_nan: args.on_nan,
            is_ours: Cell::new(false),
            was_lost: Cell::new(false),
            told: Cell::new(false),
        }
    }

    /// Loads the weights of `--init` or the `resumed` checkpoint, and installs the signal handler.
    ///
    /// # Errors
    /// A file cannot be read, or belongs to another training.
    pub fn begin(
        &self,
        args: &Args,
        trainer: &mut Trainer,
        resumed: Option<&Checkpoint>,
    ) -> Result<()> {
        trainer.set_allow_not_finite(self.on_nan == OnNan::Continue);
        if let Some(path) = &args.init {
            let loaded = trainer.load_parameters(&Checkpoint::load(path)?);
            for notice in loaded
                .map_err(|error| of_file("--init", path, error))?
                .iter()
            {
                say!("Notice: {notice}")?;
            }
        }
        if let Some(checkpoint) = resumed {
            let file = args.checkpoint_file().unwrap_or_default();
            let restored = trainer.restore(checkpoint);
            restored.map_err(|error| of_file("--resume", &file, error))?;
            self.is_ours.set(true);
            args.say_resumed(trainer, checkpoint)?;
        }
        signals::handle()
    }

    /// Whether the device was lost and `--recover` is set: then training continues from the
    /// checkpoint, or starts over if there is none yet. If a device is lost again before a
    /// checkpoint was written, recovery gives up.
    ///
    /// # Errors
    /// As [`say`].
    pub fn continues_after(&self, result: &Result<()>, args: &mut Args) -> Result<bool> {
        let is_lost = matches!(result, Err(Error::DeviceLost(_)));
        if !is_lost || !args.recover || self.was_lost.replace(true) {
            return Ok(false);
        }
        // Any other checkpoint in the folder belongs to another training.
        if self.is_ours.get() {
            (args.resume, args.init) = (true, None);
            say!("The device was lost: continuing from the checkpoint")?;
        } else {
            say!("The device was lost before the first checkpoint: beginning again")?;
        }
        Ok(true)
    }

    /// Trains an epoch, or the rest of it, under a progress bar. `None` if Ctrl-C was pressed
    /// before its end.
    ///
    /// # Errors
    /// The device was lost, the loss is not finite, or a file cannot be written.
    pub async fn train_epoch(
        &self,
        trainer: &mut Trainer,
        epochs: u64,
        data: &Dataset,
    ) -> Result<Option<EpochReport>> {
        let prefix = format!("Epoch {}/{epochs}", trainer.epochs() + 1);
        let bar = progress_bar(prefix, data.train.len());
        let (mut samples, mut seconds) = (0.0, 0.0);
        loop {
            let (epoch, begun) = (trainer.epochs() + 1, Instant::now());
            let is_due = || self.file.is_some() && begun.elapsed() >= self.every;
            let trained = trainer
                .train_until(|progress: &Progress| {
                    advance(&bar, progress, epochs.saturating_sub(epoch));
                    match is_interrupted() || is_due() {
                        true => ControlFlow::Break(()),
                        false => ControlFlow::Continue(()),
                    }
                })
                .await;
            let mut report = match trained {
                Ok(report) => report,
                Err(error) => {
                    bar.finish_and_clear();
                    return Err(self.explain(error)?);
                }
            };
            if let Some(step) = report.first_not_finite {
                self.tell_once(&format!(
                    "epoch {epoch}, step {step}: the loss is not finite"
                ));
            }
            // The samples trained since the last checkpoint, from their rate.
            seconds += begun.elapsed().as_secs_f64();
            samples += report.samples_per_second * begun.elapsed().as_secs_f64();
            self.save(trainer).await?;
            if !trainer.is_within_epoch() {
                bar.finish_and_clear();
                report.samples_per_second = samples / seconds;
                return Ok(Some(report));
            }
            if is_interrupted() {
                bar.finish_and_clear();
                return Ok(None);
            }
        }
    }

    /// Writes a checkpoint. If a weight is not finite, the file is left as it is, which is an error
    /// unless training is to continue with such weights.
    async fn save(&self, trainer: &Trainer) -> Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let checkpoint = trainer.checkpoint().await?;
        match checkpoint.first_not_finite() {
            Some((name, at, value)) if self.on_nan == OnNan::Continue => {
                let what = format!("epoch {}: {value} at {at} of {name}", trainer.epochs());
                self.tell_once(&what);
            }
            _ => {
                checkpoint.save(file)?;
                self.is_ours.set(true);
                self.was_lost.set(false);
            }
        }
        Ok(())
    }

    /// Explains the effect of `--on-nan continue`, the first time that it applies.
    fn tell_once(&self, what: &str) {
        if self.told.replace(true) {
            return;
        }
        let kept = match &self.file {
            Some(file) => format!("; {} is not written while weights are not", file.display()),
            None => String::new(),
        };
        complain(format_args!("{what}: training continues{kept}"));
    }

    /// Tells the user what remains after a loss that is not finite.
    fn explain(&self, error: Error) -> Result<Error> {
        let file = self.file.as_ref().filter(|_| self.is_ours.get());
        if let (Error::NotFinite { .. }, Some(file)) = (&error, file) {
            say!(
                "The last checkpoint stays: continue with --resume and a smaller --lr from {}",
                file.display()
            )?;
        }
        Ok(error)
    }

    /// Whether training may continue after an evaluation.
    ///
    /// # Errors
    /// The loss is not finite, and training is not to continue after that.
    pub fn check(&self, what: &str, report: &EpochReport) -> Result<()> {
        match self.on_nan {
            OnNan::Stop if !report.loss.is_finite() => {
                Err(Error::value(what, "a finite loss", report.loss))
            }
            _ => Ok(()),
        }
    }

    /// Whether Ctrl-C was pressed; if so, prints what was saved.
    ///
    /// # Errors
    /// As [`say`].
    pub fn stop(&self) -> Result<bool> {
        match &self.file {
            _ if !is_interrupted() => return Ok(false),
            Some(file) if self.is_ours.get() => {
                say!(
                    "Interrupted: continue with --resume from {}",
                    file.display()
                )?;
            }
            Some(_) => say!("Interrupted before the first checkpoint: nothing is saved")?,
            None => say!("Interrupted: without --checkpoint DIR there is nothing to resume from")?,
        }
        Ok(true)
    }

    /// Writes the file of `--save`.
    ///
    /// # Errors
    /// The file cannot be written, or a weight is not finite.
    pub async fn finish(&self, args: &Args, trainer: &Trainer) -> Result<()> {
        if let Some(path) = &args.save {
            let mut checkpoint = trainer.checkpoint().await?;
            checkpoint
                .tensors
                .retain(|name, _| !name.starts_with("optimizer."));
            checkpoint.save(path)?;
            if trainer.epochs() < args.epochs {
                say!("{} has the weights of an unfinished run", path.display())?;
            }
        }
        Ok(())
    }
}
