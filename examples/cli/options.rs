//! Checks the options of `mnist_gpu` against each other and against a resumed checkpoint: no option
//! given by the user is silently ignored.

use std::fs;
use std::path::PathBuf;

use wgrad::tune::Effort;
use wgrad::{Checkpoint, Error, FolderLock, Planning, Result, Trainer};

use super::checkpoints::LAST;
use super::{Args, EffortName, PlanName, Where};
use crate::common::{check_apart, say, try_replacing};

impl Args {
    /// Checks that need no device or data: options that exclude each other, files that cannot be
    /// written, weights that cannot be read.
    ///
    /// # Errors
    /// The option and what it requires, or the file.
    pub fn check(&self) -> Result<()> {
        let refuse = |option: &str, expected, got| Err(Error::value(option, expected, got));
        if self.resume && self.checkpoint.is_none() {
            return refuse("--resume", "--checkpoint DIR beside it", "none");
        }
        if self.recover && self.device == Where::Cpu {
            return refuse("--recover", "a device that can be lost", "--device cpu");
        }
        if self.no_spot_checks && self.device == Where::Cpu {
            return refuse("--no-spot-checks", "an adapter to check", "--device cpu");
        }
        if self.tunes() && self.plan == PlanName::Unfused {
            return refuse("--tune", "--plan fused beside it", "--plan unfused");
        }
        if self.tunes() && self.device == Where::Cpu {
            return refuse("--tune", "an adapter to tune for", "--device cpu");
        }
        self.loss()?;
        let checkpoint = self.checkpoint_file();
        let outputs = [
            ("--checkpoint", &checkpoint),
            ("--save", &self.save),
            ("--metrics", &self.metrics),
        ];
        let outputs = outputs.into_iter();
        let named: Vec<_> = outputs
            .filter_map(|(option, path)| Some((option, path.as_deref()?)))
            .collect();
        check_apart(&named)?;
        let lock = self.checkpoint.as_ref().map(FolderLock::file);
        let kept = [("--init", &self.init), ("--checkpoint's lock", &lock)];
        for (option, path) in &named {
            for (other, kept) in &kept {
                if let Some(kept) = kept {
                    check_apart(&[(other, kept), (option, path)])?;
                }
            }
            if let (Some(Ok(folder)), Ok(data)) = (
                path.parent().map(fs::canonicalize),
                fs::canonicalize(&self.data),
            ) && folder == data
            {
                return refuse(
                    option,
                    "a file outside of --data",
                    &path.display().to_string(),
                );
            }
        }
        if let Some(path) = &self.init {
            Checkpoint::load(path)?;
        }
        for path in checkpoint.iter().chain(&self.save) {
            try_replacing(path)?;
        }
        Ok(())
    }

    /// Whether the user asked for tuning.
    fn tunes(&self) -> bool {
        self.typed("tune") && self.tune != EffortName::Off
    }

    fn typed(&self, name: &str) -> bool {
        self.typed.iter().any(|typed| typed == name)
    }

    /// The checkpoint file, if there is to be one.
    pub fn checkpoint_file(&self) -> Option<PathBuf> {
        self.checkpoint.as_ref().map(|folder| folder.join(LAST))
    }

    /// The checkpoint that `--resume` continues from, if it exists.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn resumed(&self) -> Result<Option<Checkpoint>> {
        let file = self.checkpoint_file().filter(|_| self.resume);
        let file = file.filter(|file| file.exists());
        file.map(Checkpoint::load).transpose()
    }

    /// The requested plan. If none was requested and a checkpoint is resumed, the checkpoint's, for
    /// the same bits.
    ///
    /// # Errors
    /// The checkpoint's plan cannot be read, or does not fit `--tune`.
    pub fn planning(&self, resumed: Option<&Checkpoint>) -> Result<Planning> {
        let asked = match (self.plan, self.tune) {
            (PlanName::Unfused, _) => Planning::Unfused,
            (PlanName::Fused, EffortName::Off) => Planning::Fused(Effort::Off),
            (PlanName::Fused, EffortName::Quick) => Planning::Fused(Effort::Quick),
            (PlanName::Fused, EffortName::Full) => Planning::Fused(Effort::Full),
        };
        let Some(checkpoint) = resumed else {
            return Ok(asked);
        };
        let (theirs, plan, tune) = (
            checkpoint.planning()?,
            self.typed("plan"),
            self.typed("tune"),
        );
        let both_fused = theirs != Planning::Unfused && asked != Planning::Unfused;
        match (plan, tune) {
            (false, false) => Ok(theirs),
            (true, false) if both_fused => Ok(theirs),
            (false, true) if theirs == Planning::Unfused => Err(Error::value(
                "--tune",
                "--plan fused beside it",
                "the unfused plan of the checkpoint",
            )),
            _ => Ok(asked),
        }
    }

    /// Applies `--lr`, and reports how training will differ from the checkpoint's.
    ///
    /// # Errors
    /// The learning rate is out of range; as [`say`].
    pub fn say_resumed(&self, trainer: &mut Trainer, resumed: &Checkpoint) -> Result<()> {
        let epochs = trainer.epochs();
        let file = self.checkpoint_file().unwrap_or_default();
        let step = resumed.metadata.get("step").filter(|step| *step != "0");
        let steps = step.map_or_else(String::new, |step| format!(", step {step}"));
        say!(
            "Resumed from {} after epoch {epochs}{steps}",
            file.display()
        )?;
        if resumed
            .device()
            .is_some_and(|theirs| theirs != trainer.device())
        {
            say!("Another device than the checkpoint's from here on: its last bits may differ")?;
        }
        let theirs = resumed.metadata.get("learning_rate");
        let theirs = theirs.map_or("another", String::as_str);
        if self.typed("lr") && theirs != self.lr.to_string() {
            trainer.set_learning_rate(self.lr)?;
            say!(
                "Learning rate {} from here on, where the checkpoint has {theirs}",
                self.lr
            )?;
        }
        let is_the_plan = match (resumed.planning()?, trainer.choices()) {
            (Planning::Chosen(theirs), Some(ours)) => theirs == *ours,
            (theirs, ours) => theirs == Planning::Unfused && ours.is_none(),
        };
        if !is_the_plan {
            say!("Another plan than the checkpoint's from here on: its last bits may differ")?;
        }
        if epochs >= self.epochs {
            say!("Nothing to train: --epochs {} are complete", self.epochs)?;
        }
        Ok(())
    }
}
