//! The tensors that a host writes and reads, found by role instead of by name.

use std::fmt;

use super::{Plan, TensorId};
use crate::error::{Error, Result};

/// The role of a tensor to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// The batch: (N, sample). Plans that read the data set directly have none.
    Images,
    /// The class of each row of the batch. Plans that read the data set directly have none.
    Labels,
    /// The model's output, (N, classes).
    Logits,
    /// All parameters as one array.
    Parameters,
    /// All gradients as one array of the same layout.
    Gradients,
    /// The data set's samples, in bytes.
    DatasetImages,
    /// The data set's classes, in bytes.
    DatasetLabels,
    /// The order of the data set's samples.
    Order,
    /// Σ of the rows' losses, a slot per step of a run.
    LossSum,
    /// The number of correct predictions, a slot per step of a run.
    Correct,
}

/// The tables, of [`STEPS_PER_RUN`](super::STEPS_PER_RUN) slots each, that the loss phase fills.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MetricTables {
    pub loss_sum: TensorId,
    pub correct: TensorId,
}

impl fmt::Display for Port {
    /// The name of its tensor.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Port::Images => "images",
            Port::Labels => "labels",
            Port::Logits => "logits",
            Port::Parameters => "parameters",
            Port::Gradients => "gradients",
            Port::DatasetImages => "dataset.images",
            Port::DatasetLabels => "dataset.labels",
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
            correct: self.port(Port::Correct).ok()?,
        })
    }
}
