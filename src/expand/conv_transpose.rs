//! Transposed convolution of one group, by the fused product.

use super::Group;
use crate::error::Result;
use crate::graph::{ConvTranspose, Graph, Lowering, NodeId, Piece, Products, Site, ValueId};

/// A transposed convolution's node.
#[derive(Debug)]
struct Transposed(NodeId);

pub(super) fn find(graph: &Graph, node: NodeId) -> Option<Group> {
    let groups = graph.function::<ConvTranspose>(node)?.groups;
    (groups == 1).then(|| Group::new(vec![node], Transposed(node)))
}

impl Piece for Transposed {
    fn output(&self, graph: &Graph) -> ValueId {
        graph.node(self.0).output
    }

    fn forward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        let function = lowering.graph().function::<ConvTranspose>(self.0);
        function.map_or(Ok(()), |function| {
            function.forward_by(Products::Fast, &mut Site::new(lowering, self.0))
        })
    }

    fn backward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        let function = lowering.graph().function::<ConvTranspose>(self.0);
        function.map_or(Ok(()), |function| {
            function.backward_by(Products::Fast, &mut Site::new(lowering, self.0))
        })
    }
}
