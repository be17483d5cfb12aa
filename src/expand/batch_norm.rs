//! Batch norm followed by ReLU, in one kernel.

use super::Group;
use crate::error::Result;
use crate::graph::{BatchNorm, Graph, Lowering, NodeId, Norm, Piece, Relu, ValueId};

pub(super) fn find(graph: &Graph, node: NodeId) -> Option<Group> {
    graph.function::<BatchNorm>(node)?;
    let relu = graph.next::<Relu>(node);
    let nodes = std::iter::once(node).chain(relu).collect();
    Some(Group::new(nodes, Norm { node, relu }))
}

impl Piece for Norm {
    fn output(&self, graph: &Graph) -> ValueId {
        Norm::output(self, graph)
    }

    fn forward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        Norm::forward(self, lowering)
    }

    fn backward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        Norm::backward(self, lowering)
    }
}
