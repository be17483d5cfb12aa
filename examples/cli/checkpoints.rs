//! What `mnist_gpu` keeps on the disk while it trains, and how it ends when it is asked to.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wgrad::data::Dataset;
use wgrad::{Checkpoint, EpochReport, Error, FolderLock, Progress, Result, Trainer};

use super::{Args, advance, progress_bar};

/// The file of the checkpoint's folder.
pub const LAST: &str = "last.safetensors";

/// Trains epochs, and saves where training stands every now and then, after each epoch, and when
/// Ctrl-C is pressed.
pub struct Checkpoints {
    /// `last.safetensors` of the folder, if one was named.
    file: Option<PathBuf>,
    every: Duration,
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

impl Checkpoints {
    /// Takes the folder for this run alone, before it reads or writes any file; until the lock is dropped.
    pub fn lock(args: &Args) -> Result<Option<FolderLock>> {
        args.checkpoint.as_ref().map(FolderLock::take).transpose()
    }

    /// Takes over what `--init` or `--resume` name, and Ctrl-C.
    pub fn begin(args: &Args, trainer: &mut Trainer) -> Result<Self> {
        if let Some(path) = &args.init {
            for notice in trainer.load_parameters(&Checkpoint::load(path)?)?.iter() {
                println!("Notice: {notice}");
            }
        }
        let file = args.checkpoint.as_ref().map(|folder| folder.join(LAST));
        match (&file, args.resume) {
            (None, true) => {
                return Err(Error::value(
                    "--resume",
                    "--checkpoint DIR beside it",
                    "none",
                ));
            }
            (Some(file), true) if file.exists() => {
                trainer.restore(&Checkpoint::load(file)?)?;
                println!(
                    "Resumed from {} after {} epochs",
                    file.display(),
                    trainer.epochs()
                );
            }
            _ => {}
        }
        let handler = || {
            // The second time it is meant: the process ends here and now.
            if INTERRUPTED.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        };
        match ctrlc::set_handler(handler) {
            // After a lost device the first run's handler is still there.
            Ok(()) | Err(ctrlc::Error::MultipleHandlers) => {}
            Err(error) => return Err(Error::value("Ctrl-C", "a handler", error)),
        }
        Ok(Checkpoints {
            file,
            every: Duration::from_secs_f64(args.checkpoint_seconds),
        })
    }

    /// Trains an epoch, or what is left of it, under a progress bar. `None` where Ctrl-C was pressed
    /// before its end.
    pub async fn train_epoch(
        &self,
        trainer: &mut Trainer,
        epochs: u64,
        data: &Dataset,
    ) -> Result<Option<EpochReport>> {
        let bar = progress_bar(trainer.epochs() + 1, epochs, data);
        let (mut samples, mut seconds) = (0.0, 0.0);
        loop {
            let begun = Instant::now();
            let is_due = || self.file.is_some() && begun.elapsed() >= self.every;
            let mut report = trainer
                .train_until(|progress: &Progress| {
                    advance(&bar, progress);
                    match is_interrupted() || is_due() {
                        true => ControlFlow::Break(()),
                        false => ControlFlow::Continue(()),
                    }
                })
                .await?;
            // What was trained since the last checkpoint: its rate says how long it took.
            seconds += begun.elapsed().as_secs_f64();
            samples += report.samples_per_second * begun.elapsed().as_secs_f64();
            if let Some(file) = &self.file {
                trainer.checkpoint().await?.save(file)?;
            }
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

    /// Whether Ctrl-C was pressed; says what it left behind.
    pub fn stop(&self) -> bool {
        match &self.file {
            _ if !is_interrupted() => return false,
            Some(file) => println!("Interrupted: go on with --resume from {}", file.display()),
            None => println!("Interrupted: nothing is saved without --checkpoint DIR"),
        }
        true
    }

    /// Writes what `--save` names.
    pub async fn finish(&self, args: &Args, trainer: &Trainer) -> Result<()> {
        if let Some(path) = &args.save {
            let mut checkpoint = trainer.checkpoint().await?;
            checkpoint
                .tensors
                .retain(|name, _| !name.starts_with("optimizer."));
            checkpoint.save(path)?;
        }
        Ok(())
    }
}
