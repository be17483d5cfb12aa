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
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule::constant()
    }
}

impl Schedule {
    /// The same rate for all steps.
    pub fn constant() -> Self {
        Schedule {
            shape: Shape::Constant,
            warm_up: 0,
        }
    }

    /// Multiplies the rate by `factor` after every `every` steps: PyTorch's `StepLR`, counted in
    /// steps.
    pub fn step(every: u64, factor: f64) -> Self {
        Schedule {
            shape: Shape::Step { every, factor },
            warm_up: 0,
        }
    }

    /// Half a cosine from 1 to 0 at step `steps`, and 0 afterwards (Loshchilov and Hutter, 2017,
    /// arXiv:1608.03983).
    pub fn cosine(steps: u64) -> Self {
        Schedule {
            shape: Shape::Cosine { steps },
            warm_up: 0,
        }
    }

    /// Adds a linear warm-up: the first `steps` steps rise to the full rate, from `1/steps` in the
    /// first. The schedule then counts from its end; a cosine still ends at its step.
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
        let factor = match self.shape {
            Shape::Constant => 1.0,
            Shape::Step { every, factor } => {
                let drops = i32::try_from(since / every.max(1)).unwrap_or(i32::MAX);
                factor.powi(drops)
            }
            Shape::Cosine { steps } => {
                let all = steps.saturating_sub(self.warm_up).max(1);
                let gone = (since as f64 / all as f64).min(1.0);
                (1.0 + (std::f64::consts::PI * gone).cos()) / 2.0
            }
        };
        factor as f32
    }

    /// # Errors
    /// The factor is not in [0, 1], `every` is zero, or the warm-up does not end before the cosine.
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
            Shape::Cosine { steps } if steps <= self.warm_up => Err(Error::value(
                "schedule: steps of the cosine",
                format!("more than the {} of the warm-up", self.warm_up),
                steps,
            )),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shape {
            Shape::Constant => write!(f, "constant")?,
            Shape::Step { every, factor } => write!(f, "times {factor} every {every} steps")?,
            Shape::Cosine { steps } => write!(f, "cosine to step {steps}")?,
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
    }
}
