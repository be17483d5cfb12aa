//! Learning-rate schedules.

use std::fmt;

use crate::error::{Error, Result};

/// A factor of the learning rate per training step: a function of only the step's number, so that a
/// resumed run continues it.
///
/// ```
/// use wgrad::Schedule;
/// let schedule = Schedule::cosine(1000).warm_up(100);
/// assert_eq!(schedule.factor(49), 0.5);
/// assert_eq!(schedule.factor(100), 1.0);
/// assert!(schedule.factor(1000) < 1e-6);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    shape: Shape,
    warm_up: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Constant,
    Step { every: u64, factor: f64 },
    Cosine { steps: u64 },
    Polynomial { steps: u64, power: f64 },
    OneCycle { steps: u64 },
}

/// PyTorch's defaults for one cycle: the share of the steps that rise, and the first and the last
/// factor.
const RISE: f64 = 0.3;
const FIRST: f64 = 1.0 / 25.0;
const LAST: f64 = FIRST / 1e4;

/// Half a cosine from `from` to `to`, as `gone` goes from 0 to 1.
fn half_cosine(from: f64, to: f64, gone: f64) -> f64 {
    to + (from - to) / 2.0 * (1.0 + (std::f64::consts::PI * gone).cos())
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule::constant()
    }
}

impl Schedule {
    /// That shape, without a warm-up.
    fn of(shape: Shape) -> Self {
        Schedule { shape, warm_up: 0 }
    }

    /// The same rate for all steps.
    pub fn constant() -> Self {
        Schedule::of(Shape::Constant)
    }

    /// Multiplies the rate by `factor` after every `every` steps: PyTorch's `StepLR`, counted in
    /// steps.
    pub fn step(every: u64, factor: f64) -> Self {
        Schedule::of(Shape::Step { every, factor })
    }

    /// Half a cosine from 1 to 0 at step `steps`, and 0 afterwards (Loshchilov and Hutter, 2017,
    /// arXiv:1608.03983).
    pub fn cosine(steps: u64) -> Self {
        Schedule::of(Shape::Cosine { steps })
    }

    /// `(1 − number/steps)^power`, and 0 from step `steps` on: PyTorch's `PolynomialLR`. Power 1 is
    /// linear.
    pub fn polynomial(steps: u64, power: f64) -> Self {
        Schedule::of(Shape::Polynomial { steps, power })
    }

    /// Half a cosine from 1/25 to 1 over the first 0.3 of the `steps`, and one down to 1/250,000 in
    /// the last step: PyTorch's `OneCycleLR` (Smith and Topin, 2018, arXiv:1708.07120).
    pub fn one_cycle(steps: u64) -> Self {
        Schedule::of(Shape::OneCycle { steps })
    }

    /// Adds a linear warm-up: the first `steps` steps rise to the full rate, from `1/steps` in the
    /// first. The schedule then counts from its end, and still ends at its own step.
    #[must_use]
    pub fn warm_up(mut self, steps: u64) -> Self {
        self.warm_up = steps;
        self
    }

    /// The factor of step `number`, counted from 0.
    pub fn factor(&self, number: u64) -> f32 {
        if number < self.warm_up {
            return ((number + 1) as f64 / self.warm_up as f64) as f32;
        }
        let since = number - self.warm_up;
        let gone = |steps: u64| {
            let all = steps.saturating_sub(self.warm_up).max(1);
            (since as f64 / all as f64).min(1.0)
        };
        let factor = match self.shape {
            Shape::Constant => 1.0,
            Shape::Step { every, factor } => {
                let drops = i32::try_from(since / every.max(1)).unwrap_or(i32::MAX);
                factor.powi(drops)
            }
            Shape::Cosine { steps } => half_cosine(1.0, 0.0, gone(steps)),
            Shape::Polynomial { steps, power } => (1.0 - gone(steps)).powf(power),
            Shape::OneCycle { steps } => {
                let last = steps.saturating_sub(self.warm_up).max(2) as f64 - 1.0;
                let (top, at) = ((RISE * (last + 1.0) - 1.0).max(0.0), since as f64);
                if at < top {
                    half_cosine(FIRST, 1.0, at / top)
                } else {
                    half_cosine(1.0, LAST, ((at - top) / (last - top)).min(1.0))
                }
            }
        };
        factor as f32
    }

    /// # Errors
    /// The factor is not in [0, 1], `every` is zero, or the warm-up does not end before a schedule
    /// with an end, or a power is negative.
    pub(crate) fn check(&self) -> Result<()> {
        match self.shape {
            Shape::Step { every: 0, .. } => Err(Error::value(
                "schedule: steps between drops",
                "at least 1",
                0,
            )),
            Shape::Step { factor, .. } if !(0.0..=1.0).contains(&factor) => {
                Err(Error::value("schedule: factor", "0 to 1", factor))
            }
            Shape::Polynomial { power, .. } if !(power.is_finite() && power >= 0.0) => Err(
                Error::value("schedule: power", "a finite number of at least 0", power),
            ),
            Shape::Cosine { steps } => self.check_end("cosine", steps),
            Shape::Polynomial { steps, .. } => self.check_end("polynomial", steps),
            Shape::OneCycle { steps } => self.check_end("cycle", steps),
            _ => Ok(()),
        }
    }

    /// Whether a shape of `steps` steps ends after the warm-up.
    fn check_end(&self, name: &str, steps: u64) -> Result<()> {
        if steps > self.warm_up {
            return Ok(());
        }
        let warm_up = self.warm_up;
        Err(Error::value(
            format!("schedule: steps of the {name}"),
            format!("more than the {warm_up} of the warm-up"),
            steps,
        ))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shape {
            Shape::Constant => write!(f, "constant")?,
            Shape::Step { every, factor } => write!(f, "times {factor} every {every} steps")?,
            Shape::Cosine { steps } => write!(f, "cosine to step {steps}")?,
            Shape::Polynomial { steps, power } => write!(f, "power {power} to step {steps}")?,
            Shape::OneCycle { steps } => write!(f, "one cycle to step {steps}")?,
        }
        if self.warm_up > 0 {
            write!(f, " after a warm-up of {} steps", self.warm_up)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_schedule_drops_after_each_so_many_steps() {
        let schedule = Schedule::step(10, 0.5);
        let factors = [0, 9, 10, 19, 20].map(|step| schedule.factor(step));
        assert_eq!(factors, [1.0, 1.0, 0.5, 0.5, 0.25]);
    }

    #[test]
    fn a_warm_up_rises_in_equal_parts_and_what_follows_begins_whole() {
        let schedule = Schedule::cosine(12).warm_up(4);
        let rising = [0, 1, 2, 3].map(|step| schedule.factor(step));
        assert_eq!(rising, [0.25, 0.5, 0.75, 1.0]);
        assert_eq!(schedule.factor(4), 1.0);
        assert_eq!(schedule.factor(8), 0.5);
        assert_eq!([12, 1000].map(|step| schedule.factor(step)), [0.0, 0.0]);
    }

    /// The values that PyTorch 2 gives.
    #[test]
    fn one_cycle_and_polynomial_are_pytorchs() {
        let cycle = Schedule::one_cycle(20);
        for (step, expected) in [
            (0, 0.04),
            (1, 0.1316718427000253),
            (4, 0.9083281572999747),
            (5, 1.0),
            (6, 0.9874640062350873),
            (12, 0.500002),
            (18, 0.012539993764912554),
            (19, 4e-6),
            (1000, 4e-6),
        ] {
            assert_eq!(cycle.factor(step), expected as f32, "step {step}");
        }
        let square = Schedule::polynomial(5, 2.0);
        let factors = [0, 1, 2, 3, 4, 5, 6].map(|step| square.factor(step));
        assert_eq!(factors, [1.0, 0.64, 0.36, 0.16, 0.04, 0.0, 0.0]);
        assert_eq!(square.warm_up(1).factor(3), 0.25);
    }

    #[test]
    fn schedules_that_make_no_sense_are_refused() {
        let error = Schedule::cosine(10)
            .warm_up(10)
            .check()
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "schedule: steps of the cosine: expected more than the 10 of the warm-up, got 10"
        );
        assert!(Schedule::step(0, 0.5).check().is_err());
        assert!(Schedule::step(1, 1.5).check().is_err());
        assert!(Schedule::polynomial(9, -1.0).check().is_err());
        assert!(Schedule::one_cycle(0).check().is_err());
    }
}
