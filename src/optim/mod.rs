//! Optimizers, and learning-rate schedules.

mod adam;
mod clipping;
mod schedule;
mod sgd;

use std::fmt;

pub use adam::Adam;
pub use clipping::Clipping;
pub use schedule::Schedule;
pub use sgd::Sgd;

use crate::error::{Error, Result};
use crate::ops::DECAY_BLOCK;
use crate::plan::{ARENA_ALIGNMENT, Builder, TensorId};

/// An optimizer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimizer {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// Adam or AdamW.
    Adam(Adam),
}

impl From<Sgd> for Optimizer {
    fn from(sgd: Sgd) -> Self {
        Optimizer::Sgd(sgd)
    }
}

impl From<Adam> for Optimizer {
    fn from(adam: Adam) -> Self {
        Optimizer::Adam(adam)
    }
}

impl fmt::Display for Optimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Optimizer::Sgd(sgd) => sgd.fmt(f),
            Optimizer::Adam(adam) => adam.fmt(f),
        }
    }
}

impl Optimizer {
    /// The initial learning rate.
    pub fn learning_rate(&self) -> f32 {
        match self {
            Optimizer::Sgd(sgd) => sgd.learning_rate(),
            Optimizer::Adam(adam) => adam.learning_rate(),
        }
    }

    /// The kernel's scalars for step `number`, counted from 0, besides the rate.
    pub fn scalars(&self, number: u64) -> [f32; 2] {
        match self {
            Optimizer::Sgd(_) => [0.0; 2],
            Optimizer::Adam(adam) => adam.scalars(number),
        }
    }

    /// Appends the update of the whole arena to the update phase.
    ///
    /// # Errors
    /// An option is out of range.
    pub(crate) fn lower(
        &self,
        plan: &mut Builder,
        parameters: TensorId,
        gradients: TensorId,
    ) -> Result<()> {
        match self {
            Optimizer::Sgd(sgd) => sgd.lower(plan, parameters, gradients),
            Optimizer::Adam(adam) => adam.lower(plan, parameters, gradients),
        }
    }
}

/// What a text of an optimizer says of a decay of weights alone.
fn of_weights(only: bool) -> &'static str {
    if only { " of weights only" } else { "" }
}

// The blocks that ops know are those of the arenas.
const _: () = assert!(DECAY_BLOCK == ARENA_ALIGNMENT);

/// Checks a rate or factor of an optimizer.
///
/// # Errors
/// It is negative or not finite.
pub(crate) fn check_rate(what: &str, value: f32) -> Result<()> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(Error::value(what, "a finite number of at least 0", value))
}
