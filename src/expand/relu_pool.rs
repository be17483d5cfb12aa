//! ReLU before a max-pool: one op forward, one backward.

use super::Group;
use crate::error::Result;
use crate::graph::{Graph, Lowering, MaxPool, NodeId, Piece, Relu, Ties, ValueId};
use crate::ops::{MaxPoolBackward, MaxPoolForward};
use crate::plan::{Element, Role};
use crate::shape::WindowedPlanes;

/// The pool of the input after ReLU, whose indices mark windows that ReLU zeroed.
#[derive(Debug)]
struct ReluPool {
    relu: NodeId,
    pool: NodeId,
    geometry: WindowedPlanes,
}

/// The pool that is the only reader of `relu` and whose gradient goes to one pixel per window, and
/// its geometry.
pub(super) fn pool_after(graph: &Graph, relu: NodeId) -> Option<(NodeId, WindowedPlanes)> {
    let node = graph.next::<MaxPool>(relu)?;
    let pool = graph
        .function::<MaxPool>(node)
        .filter(|pool| pool.ties == Ties::First)?;
    let input = &graph.value(graph.node(node).inputs[0]).shape;
    Some((node, pool.geometry("", input).ok()?))
}

pub(super) fn find(graph: &Graph, relu: NodeId) -> Option<Group> {
    graph.function::<Relu>(relu)?;
    let (pool, geometry) = pool_after(graph, relu)?;
    let piece = ReluPool {
        relu,
        pool,
        geometry,
    };
    Some(Group::new(vec![relu, pool], piece))
}

impl Piece for ReluPool {
    fn output(&self, graph: &Graph) -> ValueId {
        graph.node(self.pool).output
    }

    fn forward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        lowering.enter(self.pool);
        let graph = lowering.graph();
        let input = lowering.tensor(graph.node(self.relu).inputs[0])?;
        let value = self.output(graph);
        let shape = graph.value(value).shape.clone();
        let output = lowering.make_output(value)?;
        let indices = lowering
            .plan()
            .tensor("indices", shape, Element::U32, Role::Activation)?;
        let pool = MaxPoolForward {
            geometry: self.geometry,
            relu: true,
        };
        lowering.forward_op(pool, &[input], &[output, indices])
    }

    fn backward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        let input = lowering.graph().node(self.relu).inputs[0];
        if !lowering.has_gradient(input) {
            return Ok(());
        }
        lowering.enter(self.pool);
        let d_output = lowering.gradient(self.output(lowering.graph()))?;
        let indices = lowering.plan().own("indices")?;
        let shape = lowering.graph().value(input).shape.clone();
        let d_input = lowering.plan().scratch("d_input", shape)?;
        let pool = MaxPoolBackward {
            geometry: self.geometry,
            disjoint: MaxPoolBackward::are_disjoint(&self.geometry),
        };
        lowering.backward_op(pool, &[indices, d_output], &[d_input])?;
        lowering.give_gradient(input, d_input);
        Ok(())
    }
}
