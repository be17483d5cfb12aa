//! Depthwise convolution, bias and ReLU in one kernel.

use super::{Group, relu, relu_pool};
use crate::error::Result;
use crate::graph::{Convolution, Depthwise, Graph, Lowering, NodeId, Piece, Relu, ValueId};

pub(super) fn find(graph: &Graph, node: NodeId) -> Option<Group> {
    let weight = *graph.node(node).inputs.get(1)?;
    let is_depthwise = graph
        .function::<Convolution>(node)?
        .is_depthwise(&graph.value(weight).shape);
    if !is_depthwise {
        return None;
    }
    // A pool includes the ReLU before it.
    let relu = graph.next::<Relu>(node);
    let relu = relu.filter(|&relu| relu_pool::pool_after(graph, relu).is_none());
    let nodes = std::iter::once(node).chain(relu).collect();
    Some(Group::new(nodes, Depthwise { node, relu }))
}

impl Piece for Depthwise {
    fn output(&self, graph: &Graph) -> ValueId {
        Depthwise::output(self, graph)
    }

    fn forward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        self.fused_forward(lowering)
    }

    fn backward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        let d_output = match self.relu {
            Some(relu) => relu::d_input(lowering, relu)?,
            None => {
                lowering.enter(self.node);
                lowering.gradient(lowering.graph().node(self.node).output)?
            }
        };
        Depthwise::backward(self, lowering, d_output)
    }
}
