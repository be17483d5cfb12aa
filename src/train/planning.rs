//! The choice of a model's plan.

use crate::device::Device;
use crate::error::Result;
use crate::graph::Graph;
use crate::notices::Notices;
use crate::plan::Plan;
use crate::tune::{self, Choices, Effort};

/// The plan to train a model with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planning {
    /// The readable plan: an op for each step of the mathematics, a buffer for each tensor.
    Unfused,
    /// Fused ops, with kernels chosen on the device.
    Fused(Effort),
    /// Fused ops, with kernels chosen earlier.
    Chosen(Choices),
}

impl Default for Planning {
    fn default() -> Self {
        Planning::Fused(Effort::default())
    }
}

impl Planning {
    pub(super) async fn plan(
        &self,
        device: &Device,
        graph: &Graph,
        notices: &mut Notices,
    ) -> Result<(Plan, Option<Choices>)> {
        let mut choices = match self {
            Planning::Unfused => return Ok((graph.readable()?, None)),
            Planning::Fused(effort) => tune::choose(device, graph, *effort, notices).await?,
            Planning::Chosen(choices) => choices.clone(),
        };
        let plan = choices.apply(device, graph, notices)?;
        Ok((plan, Some(choices)))
    }
}
