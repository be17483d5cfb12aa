//! Whole epochs over a data set that lives on the device.

use std::ops::ControlFlow;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use web_time::Instant;

use super::Config;
use super::bursts::Bursts;
use super::position::Position;
use crate::data::Dataset;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::executor::Executor;
use crate::graph::{Graph, Module, Training};
use crate::memory;
use crate::notices::Notices;
use crate::ops::{Step, StepMetrics};
use crate::optim::check_rate;
use crate::plan::{Phase, Plan, Port, TensorId};
use crate::tune::Choices;

/// A part of the data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Trained on.
    Train,
    /// Tested on.
    Test,
}

/// How far an epoch has come, a few times a second.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Samples seen.
    pub samples: u64,
    /// Samples of the epoch.
    pub total: u64,
    /// The mean loss of the samples since the last report, as reports print it.
    pub loss: f64,
    /// Samples seen, over the seconds since the epoch began.
    pub samples_per_second: f64,
}

/// What training for an epoch, or an evaluation, came to.
#[derive(Debug, Clone, Copy)]
pub struct EpochReport {
    /// The mean loss, as reports print it: for MSE over all elements, whatever trains.
    pub loss: f64,
    /// The share of samples classified right, 0 to 1.
    pub accuracy: f64,
    /// Samples over seconds.
    pub samples_per_second: f64,
    /// The first step, counted from 1 at the epoch's beginning, whose loss was infinite or NaN.
    pub first_not_finite: Option<u64>,
}

/// Trains a model on a data set. The host only submits: batches are gathered, metrics summed and
/// parameters updated on the device, and no step is waited for.
///
/// A step counts as soon as it is submitted, since the device runs all that was submitted, in
/// order. So a trainer whose `on_progress` panicked, or whose future was dropped, stands where its
/// parameters are: the next call continues after the steps that are under way, and only their
/// metrics are lost. Where a step itself panicked, nobody can tell which parameters it moved: then
/// every call is [`Error::CutOff`] until [`Trainer::restore`].
#[derive(Debug)]
pub struct Trainer {
    pub(super) graph: Graph,
    pub(super) executor: Executor,
    pub(super) config: Config,
    choices: Option<Choices>,
    notices: Notices,
    order: TensorId,
    pub(super) train_len: usize,
    pub(super) train_sum: u32,
    pub(super) test_len: usize,
    pub(super) classes: usize,
    pub(super) description: String,
    pub(super) position: Position,
    pub(super) learning_rate: f32,
    pub(super) bursts: Bursts,
    allow_not_finite: bool,
}

impl Trainer {
    /// Lowers `model`, loads it and the whole data set into the device, and draws the parameters.
    ///
    /// # Errors
    /// A model that does not fit the data, a data set or a model that does not fit the device, an
    /// option out of range.
    pub async fn new(
        device: &Device,
        model: &dyn Module,
        data: &Dataset,
        config: Config,
    ) -> Result<Self> {
        data.check()?;
        config.schedule.check()?;
        let training = Training {
            sample: data.sample.clone(),
            batch_size: config.batch_size,
            loss: config.loss,
            optimizer: config.optimizer,
            dataset: Some(data.train.len() + data.test.len()),
            accumulate: false,
        };
        let graph = Graph::training(model, &training)?;
        let logits = &graph.value(graph.logits()).shape;
        let classes = logits.dims()[1];
        if classes != data.classes {
            return Err(Error::Shape {
                at: "logits".to_owned(),
                expected: format!(
                    "({}, {}), a column for each class",
                    config.batch_size, data.classes
                ),
                got: logits.to_string(),
            });
        }
        let mut notices = Notices::default();
        if config.batch_size > data.train.len() {
            let (batch, samples) = (config.batch_size, data.train.len());
            notices.push(format!(
                "batch size {batch}: there are {samples} training samples, and each step computes all rows"
            ));
        }
        let planning = &config.planning;
        let (plan, choices) = planning.plan(device, &graph, &mut notices).await?;
        let [images, labels] = [
            plan.port(Port::DatasetImages)?,
            plan.port(Port::DatasetLabels)?,
        ];
        let order = plan.port(Port::Order)?;
        let mut executor = device.load_noting(plan, &mut notices).await?;
        executor.initialise(config.seed)?;
        let bytes: [&[u8]; 2] = [&data.train.images, &data.test.images];
        executor.load_bytes(images, &bytes).await?;
        let bytes: [&[u8]; 2] = [&data.train.labels, &data.test.labels];
        executor.load_bytes(labels, &bytes).await?;
        let mut trainer = Trainer {
            executor,
            learning_rate: config.optimizer.learning_rate(),
            order,
            train_len: data.train.len(),
            train_sum: data.train.checksum(),
            test_len: data.test.len(),
            classes,
            description: graph.to_string(),
            position: Position::default(),
            bursts: Bursts::new(),
            allow_not_finite: false,
            config,
            graph,
            choices,
            notices,
        };
        trainer.write_order(false)?;
        Ok(trainer)
    }

    /// What the model means.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The plan that it runs.
    pub fn plan(&self) -> &Plan {
        self.executor.plan()
    }

    /// The kernels that were chosen, unless the plan is the readable one. A trainer with these same choices
    /// gives the same bits on the same adapter.
    pub fn choices(&self) -> Option<&Choices> {
        self.choices.as_ref()
    }

    /// What came up while the trainer was made that a user should know and that is no error: a line
    /// each. Kernels that were chosen on another adapter and cannot run on this one are such a line.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Where the model lives; its tensors are read and written through it.
    pub fn executor(&mut self) -> &mut Executor {
        &mut self.executor
    }

    /// The learning rate of the steps to come.
    ///
    /// # Errors
    /// A rate that is not finite and at least zero; a device that is lost or reports a fault.
    pub fn set_learning_rate(&mut self, learning_rate: f32) -> Result<()> {
        self.executor.check()?;
        check_rate("learning rate", learning_rate)?;
        self.learning_rate = learning_rate;
        Ok(())
    }

    /// Whether training continues after a loss that is infinite or NaN. At first it does not: it
    /// ends in [`Error::NotFinite`].
    pub fn set_allow_not_finite(&mut self, allow: bool) {
        self.allow_not_finite = allow;
    }

    /// How many epochs are complete.
    pub fn epochs(&self) -> u64 {
        self.position.epoch
    }

    /// Whether an epoch was begun and not completed.
    pub fn is_within_epoch(&self) -> bool {
        self.position.step > 0
    }

    /// Trains on every training sample once, or on those that are left of an epoch that was stopped.
    /// The report is of these samples as it went: each batch before the update that it led to.
    ///
    /// The future may be dropped at any moment, as a timeout does: then the steps that are under way come to
    /// their end, and the next call goes on after them.
    ///
    /// # Errors
    /// A device that is lost or reports a fault; a loss that is not finite, after which no
    /// parameter is worth keeping: go back to a checkpoint.
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

    /// As [`Trainer::train_epoch`], but where `on_progress` breaks, training stops after the steps
    /// that are under way. [`Trainer::is_within_epoch`] tells if any are left; the next call goes on
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
            self.write_order(true)?;
        }
        let Position { epoch, step } = self.position;
        let (report, loss) = self
            .run(&Phase::TRAIN, Split::Train, step as usize, on_progress)
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
    /// A step that panicked.
    pub(super) fn check_whole(&self) -> Result<()> {
        match self.bursts.is_torn {
            true => Err(Error::CutOff),
            false => Ok(()),
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
        let (first, len) = self.range(split)?;
        let batch = self.config.batch_size;
        let skipped = (first_step * batch).min(len);
        let (epoch, seed) = (self.position.epoch, self.config.seed);
        let before = epoch.saturating_mul(len.div_ceil(batch) as u64);
        let (base, schedule) = (self.learning_rate, self.config.schedule);
        let optimizer = self.config.optimizer;
        let steps = (skipped..len).step_by(batch).map(move |at| {
            let rows = batch.min(len - at);
            let number = before.saturating_add((at / batch) as u64);
            let rate = base * schedule.factor(number);
            Step::new((first + at) as u32, rows as u32, 0, rate)
                .at(epoch as u32, number as u32)
                .seed(seed)
                .scalars(optimizer.scalars(number))
        });
        let (loss, classes) = (self.config.loss.reported(), self.classes);
        let trains = phases.contains(&Phase::Update);
        let (mut done, mut first_not_finite) = (first_step as u64, None);
        let mut total = StepMetrics::default();
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
            let flow = on_progress(&Progress {
                samples: skipped as u64 + total.rows,
                total: len as u64,
                loss: loss.of_sum(burst.loss_sum, burst.rows, classes),
                samples_per_second: total.rows as f64 / begun.elapsed().as_secs_f64(),
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
            .run(&mut self.executor, phases, steps, on_begun, on_done)
            .await?;
        let report = EpochReport {
            loss: loss.of_sum(total.loss_sum, total.rows, classes),
            accuracy: total.accuracy(),
            samples_per_second: total.rows as f64 / begun.elapsed().as_secs_f64(),
            first_not_finite: first_not_finite.map(|(step, _)| step),
        };
        Ok((
            report,
            first_not_finite.map_or(report.loss, |(_, loss)| loss),
        ))
    }

    /// The order in which samples are visited: the training samples, shuffled by seed and epoch or
    /// as they are, then the test samples as they are.
    pub(super) fn write_order(&mut self, shuffle: bool) -> Result<()> {
        let mut order = memory::zeros("order of samples", self.train_len + self.test_len)?;
        for (place, sample) in order.iter_mut().enumerate() {
            *sample = place as u32;
        }
        if shuffle {
            let mut generator = ChaCha8Rng::seed_from_u64(self.config.seed);
            // Stream 0 and those after it draw parameters; the orders count from the other end.
            generator.set_stream(u64::MAX - self.position.epoch);
            order[..self.train_len].shuffle(&mut generator);
        }
        self.executor.write_words(self.order, &order)
    }
}
