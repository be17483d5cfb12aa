//! ReLU alone, and the gradient of a ReLU that another op computes.

use super::{Group, Readable};
use crate::error::Result;
use crate::graph::{Graph, Lowering, NodeId, Relu};
use crate::ops::ReluBackward;
use crate::plan::TensorId;

/// A ReLU that is not fused with another op.
pub(super) fn find(graph: &Graph, node: NodeId) -> Option<Group> {
    graph.function::<Relu>(node)?;
    Some(Group::new(vec![node], Readable(node)))
}

/// The gradient of the input of ReLU `node`: that of its output, masked if it is not yet.
pub(super) fn d_input(lowering: &mut Lowering<'_>, node: NodeId) -> Result<TensorId> {
    let output = lowering.graph().node(node).output;
    lowering.enter(node);
    let d_output = lowering.gradient(output)?;
    if lowering.is_masked(output) {
        return Ok(d_output);
    }
    let shape = lowering.graph().value(output).shape.clone();
    let len = shape.elements();
    let rectified = lowering.tensor(output)?;
    let d_input = lowering.plan().scratch("d_input", shape)?;
    lowering.backward_op(ReluBackward { len }, &[rectified, d_output], &[d_input])?;
    Ok(d_input)
}
