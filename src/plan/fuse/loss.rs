//! The loss of each row, its gradient and the metrics: one op.

use super::graph::Graph;
use crate::error::Result;
use crate::ops::{CrossEntropy, FusedLoss, Metrics, Mse, RowLoss};
use crate::plan::Phase;

/// `mse` or `cross_entropy`, then `metrics` → `mse_metrics` or `cross_entropy_metrics`.
pub(super) fn fuse(graph: &mut Graph) -> Result<()> {
    for place in graph.places() {
        let mse = graph
            .op::<Mse>(place, Phase::Loss)
            .cloned()
            .map(RowLoss::Mse);
        let cross_entropy = graph.op::<CrossEntropy>(place, Phase::Loss).cloned();
        let Some(loss) = mse.or(cross_entropy.map(RowLoss::CrossEntropy)) else {
            continue;
        };
        let (inputs, outputs) = (graph.inputs(place), graph.outputs(place));
        let Some(next) = graph.only_reader::<Metrics>(outputs[0], Phase::Loss) else {
            continue;
        };
        let Some(metrics) = graph.op::<Metrics>(next, Phase::Loss).cloned() else {
            continue;
        };
        let tables = graph.outputs(next);
        graph.remove(next);
        let outputs = [outputs[1], tables[0], tables[1]];
        let op = FusedLoss {
            loss,
            metrics,
            gathered: None,
        };
        // The labels stand for the order, which is not read.
        let inputs = [inputs[0], inputs[1], inputs[1]];
        graph.replace(place, op, &inputs, &outputs)?;
    }
    Ok(())
}
