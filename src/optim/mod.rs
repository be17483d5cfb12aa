//! Optimizers, and learning-rate schedules.

mod adam;
mod clipping;
mod lion;
mod rms_prop;
mod schedule;
mod sgd;

use std::fmt;

pub use adam::Adam;
pub use clipping::Clipping;
pub use lion::Lion;
pub use rms_prop::RmsProp;
pub use schedule::Schedule;
pub use sgd::Sgd;

use crate::error::{Error, Result};
use crate::ops::{AverageParameters, DECAY_BLOCK};
use crate::plan::{ARENA_ALIGNMENT, Builder, Element, Phase, Role, TensorId};

/// An optimizer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimizer {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// Adam or AdamW.
    Adam(Adam),
    /// RMSprop.
    RmsProp(RmsProp),
    /// Lion.
    Lion(Lion),
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

impl From<RmsProp> for Optimizer {
    fn from(rms_prop: RmsProp) -> Self {
        Optimizer::RmsProp(rms_prop)
    }
}

impl From<Lion> for Optimizer {
    fn from(lion: Lion) -> Self {
        Optimizer::Lion(lion)
    }
}

impl fmt::Display for Optimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Optimizer::Sgd(sgd) => sgd.fmt(f),
            Optimizer::Adam(adam) => adam.fmt(f),
            Optimizer::RmsProp(rms_prop) => rms_prop.fmt(f),
            Optimizer::Lion(lion) => lion.fmt(f),
        }
    }
}

impl Optimizer {
    /// The initial learning rate.
    pub fn learning_rate(&self) -> f32 {
        match self {
            Optimizer::Sgd(sgd) => sgd.learning_rate(),
            Optimizer::Adam(adam) => adam.learning_rate(),
            Optimizer::RmsProp(rms_prop) => rms_prop.learning_rate(),
            Optimizer::Lion(lion) => lion.learning_rate(),
        }
    }

    /// The kernel's scalars for step `number`, counted from 0, besides the rate.
    pub fn scalars(&self, number: u64) -> [f32; 2] {
        match self {
            Optimizer::Adam(adam) => adam.scalars(number),
            Optimizer::Sgd(_) | Optimizer::RmsProp(_) | Optimizer::Lion(_) => [0.0; 2],
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
            Optimizer::RmsProp(rms_prop) => rms_prop.lower(plan, parameters, gradients),
            Optimizer::Lion(lion) => lion.lower(plan, parameters, gradients),
        }
    }
}

/// The tensor of the moving average of the parameters.
pub(crate) const AVERAGE: &str = "average";

/// Appends the moving average of the parameters to the update phase, if there is a decay.
///
/// # Errors
/// The decay is not in [0, 1).
pub(crate) fn average(plan: &mut Builder, parameters: TensorId, decay: Option<f32>) -> Result<()> {
    let Some(decay) = decay else { return Ok(()) };
    if !(0.0..1.0).contains(&decay) {
        return Err(Error::value("averaging", "a decay of 0 to below 1", decay));
    }
    let len = plan.get(parameters).words();
    let average = plan.tensor(AVERAGE, [len], Element::F32, Role::OptimizerState)?;
    let op = AverageParameters { len, decay };
    plan.op(Phase::Update, op, &[parameters], &[average])
}

/// What a text of an optimizer says of a decay of weights alone.
fn of_weights(only: bool) -> &'static str {
    if only { " of weights only" } else { "" }
}

// The blocks that ops know are those of the arenas.
const _: () = assert!(DECAY_BLOCK == ARENA_ALIGNMENT);

/// Checks a value that is added to a root.
///
/// # Errors
/// It is not a finite number above zero.
fn check_eps(eps: f32) -> Result<()> {
    if eps.is_finite() && eps > 0.0 {
        return Ok(());
    }
    Err(Error::value("eps", "a finite number above 0", eps))
}

/// Checks the share of an average that is kept.
///
/// # Errors
/// It is not in [0, 1).
fn check_share(what: &str, value: f32) -> Result<()> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::value(what, "0 to below 1", value))
}

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
