//! The tensors that a host writes and reads, found by what they are and not by their names.

use std::fmt;

use super::{Plan, TensorId};
use crate::error::{Error, Result};

/// What a tensor is to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// The batch: (N, sample). Plans that read the data set where it lies have none.
    Images,
    /// The class of each row of the batch. As [`Port::Images`].
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
    /// The order in which batches take the data set's samples.
    Order,
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
        })
    }
}

impl Plan {
    /// The tensor of a port.
    ///
    /// # Errors
    /// A plan without it.
    pub fn port(&self, port: Port) -> Result<TensorId> {
        let found = self.ports.get(&port).copied();
        found.ok_or_else(|| Error::value("plan", port.to_string(), "none"))
    }
}
