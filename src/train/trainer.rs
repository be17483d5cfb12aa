//! Whole epochs over a data set that lives on the device.

use std::ops::ControlFlow;

use web_time::Instant;

use super::Config;
use super::bursts::Bursts;
use super::feed::{Feed, window};
use super::position::Position;
use super::steps::{Pass, check_micro_batches};
use crate::data::{Array, Data};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::executor::Executor;
use crate::graph::{Graph, Module, Training};
use crate::nn::Normalized;
use crate::notices::Notices;
use crate::ops::StepMetrics;
use crate::optim::check_rate;
use crate::plan::{Phase, Plan};
use crate::shape::Shape;
use crate::tune::Choices;

/// A part of the data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// The training set.
    Train,
    /// The test set.
    Test,
}

/// The progress of an epoch, reported a few times a second.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Samples seen.
    pub samples: u64,
    /// Samples of the epoch.
    pub total: u64,
    /// The mean loss of the samples since the last report, in the units of [`EpochReport::loss`].
    pub loss: f64,
    /// Samples seen, over the seconds since the epoch began.
    pub samples_per_second: f64,
    /// The learning rate of the last of these samples' steps; 0 in an evaluation.
    pub learning_rate: f32,
}

/// The result of an epoch of training, or of an evaluation.
#[derive(Debug, Clone, Copy)]
pub struct EpochReport {
    /// The mean loss as reported: of single elements over all of them, whatever the reduction of
    /// training.
    pub loss: f64,
    /// The fraction of correct predictions, 0 to 1: of rows, pixels, or labels. NaN if the loss knows
    /// none.
    pub accuracy: f64,
    /// Samples per second.
    pub samples_per_second: f64,
    /// The first step, counted from 1 at the epoch's beginning, whose loss was infinite or NaN.
    pub first_not_finite: Option<u64>,
}

/// Trains a model on a data set. The host only submits: batches are gathered, metrics summed and
/// parameters updated on the device, and no step is waited for.
///
/// A step counts as soon as it is submitted, since the device runs all submitted work, in order. So
/// the position of a trainer whose `on_progress` panicked, or whose future was dropped, matches its
/// parameters: the next call continues after the steps in flight, and only their metrics are lost.
/// If a step itself panicked, the parameters are in an unknown state: every call returns
/// [`Error::CutOff`] until [`Trainer::restore`].
#[derive(Debug)]
pub struct Trainer {
    pub(super) graph: Graph,
    pub(super) executor: Executor,
    pub(super) device: String,
    pub(super) config: Config,
    choices: Option<Choices>,
    notices: Notices,
    pub(super) feed: Feed,
    /// The shape of the model's output.
    pub(super) output: Shape,
    pub(super) position: Position,
    pub(super) learning_rate: f32,
    pub(super) bursts: Bursts,
    allow_not_finite: bool,
}

impl Trainer {
    /// Lowers `model`, loads it and the data set onto the device, and initialises the parameters.
    /// `data` is a [`Dataset`](crate::data::Dataset), or [`Data`] of your own; it is kept only if it
    /// is streamed ([`Residency`](super::Residency)).
    ///
    /// # Errors
    /// The model does not fit the data, the data set or the model does not fit the device, or an
    /// option is out of range.
    pub async fn new(
        device: &Device,
        model: &dyn Module,
        data: impl Into<Data>,
        config: Config,
    ) -> Result<Self> {
        let data = data.into();
        data.check()?;
        config.schedule.check()?;
        check_micro_batches(config.micro_batches)?;
        let samples = data.lens().iter().sum();
        let window = window(device, &data, config.residency, config.batch_size)
            .map(|steps| steps.max(config.micro_batches));
        let Array { shape, element } = data.train().input();
        let target = data.train().target();
        let training = Training::new(shape, config.loss.clone(), config.optimizer)
            .target(target)
            .stored(element)
            .augmentation(config.augmentation)
            .clipping(config.clipping)
            .averaging(config.averaging)
            .batch_size(config.batch_size)
            .dataset(window.map_or(samples, |steps| steps.saturating_mul(config.batch_size)))
            .accumulate(config.micro_batches > 1);
        let normalized = config
            .normalization
            .clone()
            .map(|normalize| Normalized { model, normalize });
        let model = normalized
            .as_ref()
            .map_or(model, |model| model as &dyn Module);
        let graph = Graph::training(model, &training)?;
        let output = graph.value(graph.logits()).shape.clone();
        let mut notices = Notices::default();
        let train_len = data.train().len();
        if config.batch_size > train_len {
            let (batch, samples) = (config.batch_size, train_len);
            notices.push(format!(
                "batch size {batch}: a step computes that many rows, more than the training set's {samples}"
            ));
        }
        let planning = &config.planning;
        let (plan, choices) = planning.plan(device, &graph, &mut notices).await?;
        let mut executor = device.load_noting(plan, &mut notices).await?;
        executor.initialise(config.seed)?;
        let feed = Feed::new(&mut executor, &data, window).await?;
        let mut trainer = Trainer {
            executor,
            device: match device.adapter() {
                Some(adapter) => adapter.to_string(),
                None => "CPU reference".to_owned(),
            },
            learning_rate: config.optimizer.learning_rate(),
            feed,
            output,
            position: Position::default(),
            bursts: Bursts::new(),
            allow_not_finite: false,
            config,
            graph,
            choices,
            notices,
        };
        trainer.set_order(None)?;
        Ok(trainer)
    }

    /// The model's graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The device that it trains on, as text.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The plan that it runs.
    pub fn plan(&self) -> &Plan {
        self.executor.plan()
    }

    /// The chosen kernels; `None` for the readable plan. A trainer with the same choices gives the
    /// same bits on the same adapter.
    pub fn choices(&self) -> Option<&Choices> {
        self.choices.as_ref()
    }

    /// Notices for the user from creating the trainer, one line each: for example, kernels chosen
    /// on another adapter that cannot run on this one.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The executor that holds the model; reads and writes its tensors.
    pub fn executor(&mut self) -> &mut Executor {
        &mut self.executor
    }

    /// The learning rate that the schedule multiplies.
    pub fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    /// Sets the learning rate of later steps.
    ///
    /// # Errors
    /// The rate is negative or not finite, or the device was lost or reported a fault.
    pub fn set_learning_rate(&mut self, learning_rate: f32) -> Result<()> {
        self.executor.check()?;
        check_rate("learning rate", learning_rate)?;
        self.learning_rate = learning_rate;
        Ok(())
    }

    /// Whether training continues after a loss that is infinite or NaN. By default it does not: it
    /// ends with [`Error::NotFinite`].
    pub fn set_allow_not_finite(&mut self, allow: bool) {
        self.allow_not_finite = allow;
    }

    /// Number of completed epochs.
    pub fn epochs(&self) -> u64 {
        self.position.epoch
    }

    /// Whether an epoch has begun and is not complete.
    pub fn is_within_epoch(&self) -> bool {
        self.position.step > 0
    }

    /// Trains on every training sample once, or on the rest of a stopped epoch. The report covers
    /// these samples, each batch evaluated before its update.
    ///
    /// The future may be dropped at any moment, as a timeout does: the steps in flight complete,
    /// and the next call continues after them.
    ///
    /// # Errors
    /// The device was lost or reported a fault; or the loss is not finite, after which no parameter
    /// is worth keeping: restore a checkpoint.
    pub async fn train_epoch(
        &mut self,
        mut on_progress: impl FnMut(&Progress),
    ) -> Result<EpochReport> {
        self.train_until(|progress| {
            on_progress(progress);
            ControlFlow::Continue(())
        })
        .await
    }

    /// Like [`Trainer::train_epoch`], but if `on_progress` breaks, training stops after the steps
    /// in flight. [`Trainer::is_within_epoch`] tells if any steps are left; the next call continues
    /// with them.
    ///
    /// # Errors
    /// As [`Trainer::train_epoch`].
    pub async fn train_until(
        &mut self,
        on_progress: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<EpochReport> {
        self.check_whole()?;
        if self.config.shuffle {
            self.set_order(Some(self.config.seed))?;
        }
        let Position { epoch, step } = self.position;
        let (report, loss) = self
            .run(
                self.training_phases(),
                Split::Train,
                step as usize,
                on_progress,
            )
            .await?;
        match report.first_not_finite {
            Some(step) if !self.allow_not_finite => Err(Error::NotFinite {
                epoch: epoch.saturating_add(1),
                step,
                loss,
            }),
            _ => Ok(report),
        }
    }

    /// # Errors
    /// A step panicked.
    pub(super) fn check_whole(&self) -> Result<()> {
        match self.bursts.is_torn {
            true => Err(Error::CutOff),
            false => Ok(()),
        }
    }

    /// The phases of a step of training.
    pub(super) fn training_phases(&self) -> &'static [Phase] {
        match self.config.micro_batches {
            1 => &Phase::TRAIN,
            _ => &Phase::ACCUMULATE,
        }
    }

    /// The report, and the loss of the step that was the first whose loss is not finite.
    pub(super) async fn run(
        &mut self,
        phases: &[Phase],
        split: Split,
        first_step: usize,
        mut on_progress: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<(EpochReport, f64)> {
        let (first, len) = self.feed.range(split)?;
        let batch = self.config.batch_size;
        let skipped = (first_step * batch).min(len);
        let trains = phases.contains(&Phase::Update);
        let steps = self.steps(Pass {
            first,
            len,
            skipped,
            trains,
        });
        let group = if trains { self.config.micro_batches } else { 1 };
        let loss = self.config.loss.reported();
        let (counts, output) = (
            loss.counts(&self.output, &self.graph.batch_target()),
            &self.output,
        );
        let (mut done, mut first_not_finite) = (first_step as u64, None);
        let mut total = StepMetrics::default();
        let rate_at = self.rate_at(len);
        let begun = Instant::now();
        let on_done = |metrics: &[StepMetrics]| {
            let mut burst = StepMetrics::default();
            for &step in metrics {
                burst += step;
                done += 1;
                if !step.loss_sum.is_finite() {
                    first_not_finite.get_or_insert((done, step.loss_sum));
                }
            }
            total += burst;
            let samples = skipped as u64 + total.rows;
            let learning_rate = match trains {
                true => rate_at(samples.saturating_sub(1) as usize),
                false => 0.0,
            };
            let flow = on_progress(&Progress {
                samples,
                total: len as u64,
                loss: loss.of_sum(burst.loss_sum, burst.rows, output),
                samples_per_second: total.rows as f64 / begun.elapsed().as_secs_f64(),
                learning_rate,
            });
            match first_not_finite {
                Some(_) if trains && !self.allow_not_finite => ControlFlow::Break(()),
                _ => flow,
            }
        };
        let per_epoch = len.div_ceil(batch) as u64;
        let on_begun = |steps: usize| {
            if trains {
                self.position.advance(steps as u64, per_epoch);
            }
        };
        self.bursts
            .run(
                &mut self.executor,
                &self.feed,
                (phases, group),
                steps,
                on_begun,
                on_done,
            )
            .await?;
        let report = EpochReport {
            loss: loss.of_sum(total.loss_sum, total.rows, output),
            accuracy: match counts {
                true => total.accuracy() / loss.predictions(output) as f64,
                false => f64::NAN,
            },
            samples_per_second: total.rows as f64 / begun.elapsed().as_secs_f64(),
            first_not_finite: first_not_finite.map(|(step, _)| step),
        };
        Ok((
            report,
            first_not_finite.map_or(report.loss, |(_, loss)| loss),
        ))
    }

    /// Sets the order in which samples are visited: shuffled with that seed, or as they are.
    pub(super) fn set_order(&mut self, seed: Option<u64>) -> Result<()> {
        self.feed.set_order(&mut self.executor, self.position, seed)
    }
}
