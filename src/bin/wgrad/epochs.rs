//! The epochs of a training: what they print, save and draw.

use std::ops::ControlFlow;
use std::time::Instant;

use indicatif::ProgressBar;
use wgrad::nn::ModelFile;
use wgrad::{Checkpoint, Device, EpochReport, Error, Progress, Result, Split, Trainer};

use crate::common::signals::is_interrupted;
use crate::common::{advance, progress_bar};
use crate::data::Loaded;
use crate::measure::Measured;
use crate::model::{CLASSES, MODEL_FILE, Trained};
use crate::run_folder::{ARGS, Epoch, RESULTS, Results, RunFolder};
use crate::tensorboard::Events;
use crate::train::Args;
use crate::tui::{Screen, View};
use crate::{charts, sheet, tables};

/// A training, with its folder.
pub struct Run<'a> {
    args: &'a Args,
    model: &'a ModelFile,
    loaded: &'a Loaded,
    device: &'a Device,
    folder: RunFolder,
    results: Results,
    events: Option<Events>,
    /// The whole terminal, while it is taken.
    screen: Option<Screen>,
    /// Seconds of the epochs before those of this process.
    seconds_before: f64,
    begun: Instant,
}

impl<'a> Run<'a> {
    /// Makes the folder, or opens that of the run to resume.
    ///
    /// # Errors
    /// It cannot be written, or another process uses it.
    pub fn begin(
        args: &'a Args,
        model: &'a ModelFile,
        loaded: &'a Loaded,
        device: &'a Device,
    ) -> Result<Self> {
        let folder = match &args.resume {
            Some(folder) => RunFolder::open(folder)?,
            None => RunFolder::create(&args.runs, &args.name())?,
        };
        let events = args.tensorboard.then(|| Events::create(folder.path()));
        Ok(Run {
            args,
            model,
            loaded,
            device,
            folder,
            results: Results::default(),
            events: events.transpose()?,
            screen: None,
            seconds_before: 0.0,
            begun: Instant::now(),
        })
    }

    /// Writes the options, prints device, data, model and folder, and draws training images.
    ///
    /// # Errors
    /// An image cannot be read, or a file cannot be written.
    pub async fn introduce(&mut self, trainer: &Trainer) -> Result<()> {
        let options = toml::to_string(self.args);
        let options = options.map_err(|error| Error::value(ARGS, "options in TOML", error))?;
        self.folder.write(ARGS, &options)?;
        let (device, data) = (self.device, &self.loaded.data);
        self.folder
            .say(format_args!("{device}: {}", device.reason()))?;
        self.folder.say(format_args!(
            "{} training and {} test images of {}, {} classes",
            data.train().len(),
            data.tested().map_or(0, |test| test.len()),
            self.loaded.sample(),
            self.loaded.classes.len()
        ))?;
        let layers = tables::layers(trainer.plan());
        self.folder.say(format_args!("{layers}"))?;
        for notice in trainer.notices() {
            self.folder.say(format_args!("Notice: {notice}"))?;
        }
        if self.is_of_pictures() {
            let training = &self.args.training;
            let changes = training.augmentation()?;
            let sheet = sheet::augmented(self.loaded, changes, training.seed).await?;
            self.folder.write("training_images.svg", &sheet)?;
        }
        let path = self.folder.path().display().to_string();
        self.folder.say(format_args!("Results are in {path}"))
    }

    /// Continues from a checkpoint.
    ///
    /// # Errors
    /// It is that of other options or data.
    pub fn restore(&mut self, trainer: &mut Trainer, checkpoint: &Checkpoint) -> Result<()> {
        trainer.restore(checkpoint)?;
        self.results = Results::read(self.folder.path(), trainer.epochs())?;
        self.seconds_before = self.results.epochs.last().map_or(0.0, |last| last.seconds);
        let epoch = trainer.epochs() + 1;
        self.folder
            .say(format_args!("Continuing with epoch {epoch}"))?;
        let (before, now) = (trainer.learning_rate(), self.args.training.rate());
        if before != now {
            trainer.set_learning_rate(now)?;
            self.folder.say(format_args!(
                "The learning rate was {before}, and is {now} from here on"
            ))?;
        }
        Ok(())
    }

    /// Trains until the last epoch, or until there is a reason to stop.
    ///
    /// # Errors
    /// The loss is not finite, the device was lost, or a file cannot be written.
    pub async fn epochs(&mut self, trainer: &mut Trainer) -> Result<()> {
        if self.args.tui {
            let title = format!("{} on {}", self.args.name(), self.device);
            self.screen = Some(Screen::open(View {
                title,
                total: self.args.training.epochs,
                epochs: self.results.epochs.clone(),
                progress: None,
            })?);
            self.folder.hold();
        }
        let trained = self.remaining_epochs(trainer).await;
        self.screen = None;
        self.folder.release()?;
        trained
    }

    async fn remaining_epochs(&mut self, trainer: &mut Trainer) -> Result<()> {
        let epochs = self.args.training.epochs;
        while trainer.epochs() < epochs {
            let trained = self.train_epoch(trainer).await?;
            if trainer.is_within_epoch() {
                self.checkpoint(trainer).await?.save(self.folder.last())?;
                return self.tell_reason(&format!("in epoch {}", trainer.epochs() + 1));
            }
            let test = match self.args.training.average {
                Some(_) => trainer.averaged().await?.evaluate(Split::Test).await?,
                None => trainer.evaluate(Split::Test).await?,
            };
            self.record(trainer, &trained, &test).await?;
            if self.reason_to_stop().is_some() && trainer.epochs() < epochs {
                return self.tell_reason(&format!("after epoch {}", trainer.epochs()));
            }
            if self.has_stalled() {
                let patience = self.args.patience.unwrap_or_default();
                return self.folder.say(format_args!(
                    "No better result on the test set in {patience} epochs: stopping"
                ));
            }
        }
        Ok(())
    }

    /// Trains until the end of the epoch, or until there is a reason to stop.
    async fn train_epoch(&mut self, trainer: &mut Trainer) -> Result<EpochReport> {
        let (epoch, epochs) = (trainer.epochs() + 1, self.args.training.epochs);
        let bar = match self.screen {
            Some(_) => ProgressBar::hidden(),
            None => progress_bar(
                format!("Epoch {epoch}/{epochs}"),
                self.loaded.data.train().len(),
            ),
        };
        let mut shown = Ok(());
        let trained = trainer.train_until(|progress: &Progress| {
            advance(&bar, progress, epochs - epoch);
            if let Some(screen) = &mut self.screen {
                shown = screen.advance(progress);
            }
            match shown.is_err() || self.reason_to_stop().is_some() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        let trained = trained.await;
        bar.finish_and_clear();
        shown?;
        trained
    }

    /// Why the training should stop, though there are more epochs.
    fn reason_to_stop(&self) -> Option<&'static str> {
        let is_stopped = self.screen.as_ref().is_some_and(Screen::is_stopped);
        let minutes = self.begun.elapsed().as_secs_f64() / 60.0;
        match self.args.time {
            _ if is_stopped || is_interrupted() => Some("Interrupted"),
            Some(time) if minutes >= time => Some("The time is over"),
            _ => None,
        }
    }

    fn tell_reason(&mut self, when: &str) -> Result<()> {
        let reason = self.reason_to_stop().unwrap_or("Stopped");
        let path = self.folder.path().display().to_string();
        self.folder.say(format_args!(
            "{reason} {when}: `wgrad train --resume {path}` continues"
        ))
    }

    /// Whether there is something to see in a sheet of images.
    fn is_of_pictures(&self) -> bool {
        matches!(self.loaded.sample().dims(), [1 | 3, _, _])
    }

    fn has_stalled(&self) -> bool {
        let best = self.results.best().map_or(0, |best| best.epoch);
        let last = self.results.epochs.last().map_or(0, |last| last.epoch);
        self.args
            .patience
            .is_some_and(|patience| last - best >= patience)
    }

    /// Prints, saves and draws what an epoch gave.
    async fn record(
        &mut self,
        trainer: &Trainer,
        trained: &EpochReport,
        test: &EpochReport,
    ) -> Result<()> {
        let epoch = Epoch {
            epoch: trainer.epochs(),
            train_loss: trained.loss,
            train_accuracy: trained.accuracy,
            test_loss: test.loss,
            test_accuracy: test.accuracy,
            images_per_second: trained.samples_per_second,
            seconds: self.seconds_before + self.begun.elapsed().as_secs_f64(),
        };
        self.results.epochs.push(epoch);
        if let Some(screen) = &mut self.screen {
            screen.show(&self.results.epochs)?;
        }
        if let Some(events) = &mut self.events {
            events.add(&epoch)?;
        }
        self.folder.say(format_args!(
            "Epoch {}/{}: training loss {:.4}, accuracy {:.2} %; test loss {:.4}, accuracy {:.2} %; \
             {:.0} images/s",
            epoch.epoch,
            self.args.training.epochs,
            epoch.train_loss,
            100.0 * epoch.train_accuracy,
            epoch.test_loss,
            100.0 * epoch.test_accuracy,
            epoch.images_per_second
        ))?;
        let checkpoint = self.checkpoint(trainer).await?;
        checkpoint.save(self.folder.last())?;
        if self.results.best() == Some(&epoch) {
            checkpoint.save(self.folder.best())?;
        }
        self.folder.write(RESULTS, &self.results.csv())?;
        self.folder
            .write("results.svg", &charts::epochs(&self.results.epochs)?)
    }

    /// The state of the training, with what prediction needs to know beside the weights.
    async fn checkpoint(&self, trainer: &Trainer) -> Result<Checkpoint> {
        let mut checkpoint = trainer.checkpoint().await?;
        let classes = serde_json::json!(self.loaded.classes).to_string();
        let metadata = &mut checkpoint.metadata;
        metadata.insert(CLASSES.to_owned(), classes);
        metadata.insert(MODEL_FILE.to_owned(), self.model.text().to_owned());
        Ok(checkpoint)
    }

    /// Measures the best weights, and says what to do with them.
    ///
    /// # Errors
    /// The device was lost, or a file cannot be written.
    pub async fn finish(mut self) -> Result<()> {
        let Some(best) = self.results.best().copied() else {
            return Ok(());
        };
        let trained = Trained::load(&self.folder.best())?;
        let measured = Measured::of(self.device, &trained, self.loaded).await?;
        let picture = charts::confusion(&measured.matrix, &self.loaded.classes)?;
        self.folder.write("confusion_matrix.svg", &picture)?;
        if self.is_of_pictures() {
            let sheet = sheet::predicted(self.loaded, &measured)?;
            self.folder.write("test_images.svg", &sheet)?;
        }
        self.folder.say(format_args!(
            "Best: epoch {}, accuracy {:.2} % on the test set: {}",
            best.epoch,
            100.0 * best.test_accuracy,
            self.folder.best().display()
        ))
    }
}
