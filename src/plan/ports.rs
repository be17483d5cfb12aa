//! The tensors that a host writes and reads, found by role instead of by name.

use std::fmt;

use super::{Plan, TensorId};
use crate::error::{Error, Result};

/// The role of a tensor to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// The batch: (N, sample). Plans that read the data set directly have none.
    Images,
    /// The target of each row of the batch: classes or numbers. Plans that read the data set directly
    /// have none; nor have those whose target is the batch itself.
    Targets,
    /// The model's output, (N, …).
    Logits,
    /// All parameters as one array.
    Parameters,
    /// All gradients as one array of the same layout.
    Gradients,
    /// The data set's samples.
    DatasetImages,
    /// The data set's targets.
    DatasetTargets,
    /// The order of the data set's samples.
    Order,
    /// Σ of the rows' losses, a slot per step of a run.
    LossSum,
    /// The number of correct predictions, a slot per step of a run; only of losses that know it.
    Correct,
}

/// The tables, of [`STEPS_PER_RUN`](super::STEPS_PER_RUN) slots each, that the loss phase fills.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MetricTables {
    pub loss_sum: TensorId,
    /// `None` if the loss knows no right predictions.
    pub correct: Option<TensorId>,
}

impl fmt::Display for Port {
    /// The name of its tensor.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Port::Images => "images",
            Port::Targets => "labels",
            Port::Logits => "logits",
            Port::Parameters => "parameters",
            Port::Gradients => "gradients",
            Port::DatasetImages => "dataset.images",
            Port::DatasetTargets => "dataset.labels",
            Port::Order => "dataset.order",
            Port::LossSum => "metrics.loss_sum",
            Port::Correct => "metrics.correct",
        })
    }
}

impl Plan {
    /// The tensor of a port.
    ///
    /// # Errors
    /// The plan does not have it.
    pub fn port(&self, port: Port) -> Result<TensorId> {
        let found = self.ports.get(&port).copied();
        found.ok_or_else(|| Error::value("plan", port.to_string(), "none"))
    }

    /// The tables of the steps' metrics, if the plan has a loss.
    pub(crate) fn metrics(&self) -> Option<MetricTables> {
        Some(MetricTables {
            loss_sum: self.port(Port::LossSum).ok()?,
            correct: self.port(Port::Correct).ok(),
        })
    }
}
