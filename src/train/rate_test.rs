//! The learning-rate range test.

use super::steps::Pass;
use super::{Checkpoint, Split, Trainer};
use crate::error::{Error, Result};
use crate::ops::{Step, StepMetrics};
use std::ops::ControlFlow;

/// Updates at the beginning and at the end of a curve that suggest nothing: the first before the
/// smoothed loss is smooth, the last since it ends a divergence.
const SKIPPED: [usize; 2] = [10, 1];

/// The steepest fall is sought at rates down to that of the lowest loss over this.
const SOUGHT: f32 = 1e3;

/// A learning-rate range test (Smith, 2017, arXiv:1506.01186): the rate rises exponentially from
/// update to update, until the loss diverges. By default as fastai's `lr_find`: 100 updates from
/// 1e-7 to 10, the loss smoothed by 0.98, ended by four times its smallest value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateTest {
    rates: [f32; 2],
    updates: usize,
    smoothing: f64,
    divergence: f64,
}

/// One update of a [`RateTest`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RatePoint {
    /// Its learning rate.
    pub rate: f32,
    /// The loss before it, in the units of [`EpochReport::loss`](crate::EpochReport::loss), averaged
    /// with those of earlier updates.
    pub loss: f64,
}

/// The result of a [`RateTest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RateCurve {
    /// The updates, by rising rate.
    pub points: Vec<RatePoint>,
    /// The rate where the loss falls most steeply per factor of the rate; `None` if the curve is too
    /// short, or never falls.
    pub suggestion: Option<f32>,
}

impl Default for RateTest {
    fn default() -> Self {
        RateTest::new()
    }
}

impl RateTest {
    /// 100 updates from 1e-7 to 10.
    pub fn new() -> Self {
        RateTest {
            rates: [1e-7, 10.0],
            updates: 100,
            smoothing: 0.98,
            divergence: 4.0,
        }
    }

    /// Sets the first and the last rate.
    #[must_use]
    pub fn rates(mut self, first: f32, last: f32) -> Self {
        self.rates = [first, last];
        self
    }

    /// Sets the number of updates.
    #[must_use]
    pub fn updates(mut self, updates: usize) -> Self {
        self.updates = updates;
        self
    }

    /// Sets the share of the earlier losses in the smoothed one, 0 to below 1.
    #[must_use]
    pub fn smoothing(mut self, smoothing: f64) -> Self {
        self.smoothing = smoothing;
        self
    }

    /// The rate of update `at`.
    fn rate(&self, at: usize) -> f32 {
        let [first, last] = self.rates.map(f64::from);
        (first * (last / first).powf(at as f64 / (self.updates - 1) as f64)) as f32
    }

    /// # Errors
    /// There are less than two updates, the rates do not rise from above zero, or the smoothing is
    /// out of range.
    fn check(&self) -> Result<()> {
        let [first, last] = self.rates;
        if self.updates < 2 {
            return Err(Error::value(
                "updates of a rate test",
                "at least 2",
                self.updates,
            ));
        }
        if !(first > 0.0 && first < last && last.is_finite()) {
            let expected = "rates above 0 that rise";
            return Err(Error::value(
                "rate test",
                expected,
                format!("{first} to {last}"),
            ));
        }
        if !(0.0..1.0).contains(&self.smoothing) {
            return Err(Error::value(
                "smoothing of a rate test",
                "0 to below 1",
                self.smoothing,
            ));
        }
        Ok(())
    }

    /// Adds the loss of the next update; breaks if it diverges.
    fn add(&self, points: &mut Vec<RatePoint>, mean: &mut f64, loss: f64) -> ControlFlow<()> {
        *mean = self.smoothing * *mean + (1.0 - self.smoothing) * loss;
        let share = 1.0 - self.smoothing.powf(points.len() as f64 + 1.0);
        let loss = *mean / share;
        let losses = points.iter().map(|point| point.loss);
        let least = losses.fold(f64::INFINITY, f64::min);
        if !loss.is_finite() {
            return ControlFlow::Break(());
        }
        let rate = self.rate(points.len());
        points.push(RatePoint { rate, loss });
        match loss > self.divergence * least {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// The rate of the smallest central difference of the losses, over a tenth of the curve, as
/// Lightning's tuner suggests: the rates are equal factors apart. It is sought in the last decades
/// before the lowest loss: the losses of lower rates are noise, since they are averages of few.
fn steepest(points: &[RatePoint]) -> Option<f32> {
    let end = points.len().saturating_sub(SKIPPED[1]);
    let points = points.get(SKIPPED[0]..end)?;
    let lowest = points.iter().min_by(|a, b| a.loss.total_cmp(&b.loss))?;
    let first = points.partition_point(|point| point.rate < lowest.rate / SOUGHT);
    let half = (points.len() / 20).max(1);
    let points = &points[first.saturating_sub(half)..];
    let slopes = points.windows(2 * half + 1).map(|near| {
        let slope = near[2 * half].loss - near[0].loss;
        (slope, near[half].rate)
    });
    let (slope, rate) = slopes.min_by(|a, b| a.0.total_cmp(&b.0))?;
    (slope < 0.0).then_some(rate)
}

/// Restores a trainer, also if the future of its test is dropped.
struct Trial<'a> {
    trainer: &'a mut Trainer,
    before: Checkpoint,
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        // What fails here has lost the device, which every later call says.
        let _ = self.trainer.restore(&self.before);
    }
}

impl Trainer {
    /// Trains with rising learning rates, as `test` says, from the trainer's current state, which it
    /// restores afterwards. The schedule is left out.
    ///
    /// # Errors
    /// As [`Trainer::train_epoch`], but for losses that are not finite, which end the curve; or an
    /// option of the test is out of range.
    pub async fn find_rate(&mut self, test: &RateTest) -> Result<RateCurve> {
        test.check()?;
        let before = self.checkpoint().await?;
        let trial = Trial {
            trainer: self,
            before,
        };
        let points = trial.trainer.run_trial(test).await?;
        let suggestion = steepest(&points);
        drop(trial);
        self.executor.check()?;
        Ok(RateCurve { points, suggestion })
    }

    async fn run_trial(&mut self, test: &RateTest) -> Result<Vec<RatePoint>> {
        let (first, len) = self.feed.range(Split::Train)?;
        let (batch, group) = (self.config.batch_size, self.config.micro_batches);
        let (phases, loss) = (self.training_phases(), self.config.loss.reported());
        let per_epoch = len.div_ceil(batch) as u64;
        let (mut points, mut mean, mut begun) = (Vec::new(), 0.0, 0);
        let mut flow = ControlFlow::Continue(());
        while begun < test.updates && flow.is_continue() {
            if self.config.shuffle {
                self.set_order(Some(self.config.seed))?;
            }
            let pass = Pass {
                first,
                len,
                skipped: self.position.step as usize * batch,
                trains: true,
            };
            let steps = self.steps(pass).take((test.updates - begun) * group);
            let mut steps: Vec<Step> = steps.collect();
            for step in &mut steps {
                step.learning_rate = test.rate(begun);
                begun += usize::from(step.updates());
            }
            let mut ends = steps
                .iter()
                .map(Step::updates)
                .collect::<Vec<_>>()
                .into_iter();
            let (mut of_update, output) = (StepMetrics::default(), &self.output);
            let on_done = |metrics: &[StepMetrics]| {
                for (&step, ends) in metrics.iter().zip(&mut ends) {
                    of_update += step;
                    if ends && flow.is_continue() {
                        let loss = loss.of_sum(of_update.loss_sum, of_update.rows, output);
                        flow = test.add(&mut points, &mut mean, loss);
                        of_update = StepMetrics::default();
                    }
                }
                flow
            };
            let position = &mut self.position;
            let on_begun = |steps: usize| position.advance(steps as u64, per_epoch);
            let (executor, feed) = (&mut self.executor, &self.feed);
            self.bursts
                .run(
                    executor,
                    feed,
                    (phases, group),
                    steps.into_iter(),
                    on_begun,
                    on_done,
                )
                .await?;
        }
        Ok(points)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_by_equal_factors_and_the_steepest_fall_is_suggested() {
        let test = RateTest::new().rates(1e-4, 1.0).updates(41).smoothing(0.0);
        let (mut points, mut mean) = (Vec::new(), 0.0);
        for at in 0..41 {
            // The loss falls around update 20, and explodes at update 35.
            let loss = 2.0 - (0.5 * (f64::from(at) - 20.0)).tanh();
            let loss = if at < 35 { loss } else { 100.0 };
            if test.add(&mut points, &mut mean, loss).is_break() {
                break;
            }
        }
        assert_eq!(points.len(), 36);
        let rates: Vec<f32> = points.iter().map(|point| point.rate).collect();
        assert!(
            rates
                .windows(2)
                .all(|near| (near[1] / near[0] - 1.2589254).abs() < 1e-5)
        );
        assert_eq!(steepest(&points), Some(rates[20]));
        assert_eq!(steepest(&points[..12]), None);
    }

    /// The smoothed loss of equal losses is that loss, from the first on.
    #[test]
    fn smoothing_is_corrected_for_its_beginning() {
        let (mut points, mut mean) = (Vec::new(), 0.0);
        for _ in 0..5 {
            let _ = RateTest::new().add(&mut points, &mut mean, 3.0);
        }
        assert!(points.iter().all(|point| (point.loss - 3.0).abs() < 1e-12));
        assert!(
            RateTest::new()
                .add(&mut points, &mut mean, f64::NAN)
                .is_break()
        );
        assert_eq!(points.len(), 5);
    }

    #[test]
    fn tests_that_make_no_sense_are_refused() {
        for test in [
            RateTest::new().updates(1),
            RateTest::new().rates(1.0, 0.5),
            RateTest::new().rates(0.0, 0.5),
            RateTest::new().smoothing(1.0),
        ] {
            assert!(test.check().is_err(), "{test:?}");
        }
    }
}
