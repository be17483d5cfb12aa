//! The batch read where it lies in the data set.

use super::graph::Graph;
use crate::error::Result;
use crate::ops::{ConvPoolBackwardWeight, ConvPoolForward, FusedLoss, Gather, Op};
use crate::plan::{Phase, TensorId};

/// `gather` and the ops that read `images` and the labels beside them → the same ops, which read the data
/// set in its order. Nothing changes if an op that cannot is among them.
pub(super) fn fold(graph: &mut Graph, images: TensorId) -> Result<()> {
    let Some(gather) = graph.writer(images) else {
        return Ok(());
    };
    let Some(samples) = (graph.op::<Gather>(gather, Phase::Gather)).map(|gather| gather.samples)
    else {
        return Ok(());
    };
    let (dataset, batch) = (graph.inputs(gather), graph.outputs(gather));
    let mut readers = graph.readers(batch[0]);
    readers.extend(graph.readers(batch[1]));
    let ops: Option<Vec<Box<dyn Op>>> = (readers.iter())
        .map(|&place| gathered(graph, place, samples))
        .collect();
    for (place, op) in readers.into_iter().zip(ops.unwrap_or_default()) {
        let mut inputs = graph.inputs(place);
        for input in &mut inputs {
            if graph.same(*input, batch[0]) {
                *input = dataset[0];
            } else if graph.same(*input, batch[1]) {
                *input = dataset[1];
            }
        }
        if let Some(order) = inputs.last_mut() {
            *order = dataset[2];
        }
        let outputs = graph.outputs(place);
        graph.replace_boxed(place, op, &inputs, &outputs)?;
    }
    if graph.readers(batch[0]).is_empty() && graph.readers(batch[1]).is_empty() {
        graph.remove(gather);
    }
    Ok(())
}

/// The op that reads a data set of `samples` in the place of its batch, if it can; its last input is the order.
fn gathered(graph: &Graph, place: usize, samples: usize) -> Option<Box<dyn Op>> {
    let gathered = Some(samples);
    if let Some(op) = graph.op::<ConvPoolForward>(place, Phase::Forward).cloned() {
        return Some(Box::new(ConvPoolForward { gathered, ..op }));
    }
    if let Some(op) = graph.op::<ConvPoolBackwardWeight>(place, Phase::Backward) {
        let op = op.clone();
        return Some(Box::new(ConvPoolBackwardWeight { gathered, ..op }));
    }
    let op = graph.op::<FusedLoss>(place, Phase::Loss).cloned()?;
    Some(Box::new(FusedLoss { gathered, ..op }))
}
