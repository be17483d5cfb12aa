//! A sum of two values, followed by ReLU.

use super::{Group, relu};
use crate::error::Result;
use crate::graph::{Add, Graph, Lowering, NodeId, Piece, Relu, ValueId};
use crate::ops;

/// A sum, with the ReLU that follows, if any.
#[derive(Debug)]
struct AddRelu {
    add: NodeId,
    relu: Option<NodeId>,
}

pub(super) fn find(graph: &Graph, node: NodeId) -> Option<Group> {
    graph.function::<Add>(node)?;
    let relu = graph.next::<Relu>(node);
    let nodes = std::iter::once(node).chain(relu).collect();
    Some(Group::new(nodes, AddRelu { add: node, relu }))
}

impl Piece for AddRelu {
    fn output(&self, graph: &Graph) -> ValueId {
        graph.node(self.relu.unwrap_or(self.add)).output
    }

    fn forward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        lowering.enter(self.add);
        let graph = lowering.graph();
        let inputs = &graph.node(self.add).inputs;
        let inputs = [lowering.tensor(inputs[0])?, lowering.tensor(inputs[1])?];
        let value = self.output(graph);
        let op = ops::Add {
            len: graph.value(value).shape.elements(),
            relu: self.relu.is_some(),
        };
        let output = lowering.make_output(value)?;
        lowering.forward_op(op, &inputs, &[output])
    }

    fn backward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        let graph = lowering.graph();
        let d_sum = match self.relu {
            Some(relu) => relu::d_input(lowering, relu)?,
            None => {
                lowering.enter(self.add);
                lowering.gradient(graph.node(self.add).output)?
            }
        };
        for &input in &graph.node(self.add).inputs {
            lowering.give_gradient(input, d_sum);
        }
        Ok(())
    }
}
