//! Convolution, bias, ReLU and 2×2 pool in one kernel; in the first layer, it may read the batch
//! directly from the data set.

use super::convolution::{Conv, LONGEST_RUN};
use super::{Group, Strategy, relu_pool};
use crate::error::Result;
use crate::graph::{Graph, Lowering, NodeId, Piece, Relu, ValueId};
use crate::ops::{ConvPoolBackwardWeight, ConvPoolForward, MaxPoolBackward, Op};
use crate::plan::{Element, Port, Role, TensorId};
use crate::shape::{Window, WindowedPlanes};

#[derive(Debug)]
struct ConvPool {
    conv: Conv,
    bias: ValueId,
    pool: NodeId,
    geometry: WindowedPlanes,
    /// Number of samples in the data set, if it is read instead of the batch.
    gathered: Option<usize>,
    /// Whether the weight's gradient comes from the pooled one: if the input has none, and loops
    /// are short.
    is_direct: bool,
}

pub(super) fn find(graph: &Graph, conv: &Conv, kernel: Strategy) -> Option<Group> {
    let wanted = matches!(kernel, Strategy::Pooled | Strategy::Gathered);
    let bias = conv
        .bias
        .filter(|_| wanted && ConvPoolForward::fits(&conv.sizes))?;
    let relu = graph.next::<Relu>(conv.node)?;
    let (pool, geometry) = relu_pool::pool_after(graph, relu)?;
    let halves = Window {
        stride: 2.into(),
        ..Window::new(2)
    };
    if geometry.window != halves {
        return None;
    }
    let backward = ConvPoolBackwardWeight {
        sizes: conv.sizes,
        gathered: None,
        accumulate: false,
        is_wide: false,
    };
    let is_first = conv.input == graph.images();
    let is_direct = is_first && backward.launch().longest_loop <= LONGEST_RUN as u64;
    let alone = graph.only_reader(graph.images()) == Some(conv.node);
    let reads_dataset = kernel == Strategy::Gathered && is_direct && alone;
    let gathered = graph.readable_dataset().filter(|_| reads_dataset);
    let piece = ConvPool {
        conv: conv.clone(),
        bias,
        pool,
        geometry,
        gathered,
        is_direct,
    };
    Some(Group {
        gathers: gathered.is_some(),
        ..Group::new(vec![conv.node, relu, pool], piece)
    })
}

impl ConvPool {
    /// The images and their order; without gathering, the batch is bound in place of the order.
    fn images(&self, lowering: &mut Lowering<'_>) -> Result<[TensorId; 2]> {
        if self.gathered.is_none() {
            let batch = lowering.tensor(self.conv.input)?;
            return Ok([batch, batch]);
        }
        let plan = lowering.plan();
        Ok([plan.port(Port::DatasetImages)?, plan.port(Port::Order)?])
    }
}

impl Piece for ConvPool {
    fn output(&self, graph: &Graph) -> ValueId {
        graph.node(self.pool).output
    }

    fn forward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        lowering.enter(self.pool);
        let graph = lowering.graph();
        let [images, order] = self.images(lowering)?;
        let (weight, bias) = (
            lowering.tensor(self.conv.weight)?,
            lowering.tensor(self.bias)?,
        );
        let value = self.output(graph);
        let shape = graph.value(value).shape.clone();
        let output = lowering.make_output(value)?;
        let indices = lowering
            .plan()
            .tensor("indices", shape, Element::U32, Role::Activation)?;
        let op = ConvPoolForward {
            sizes: self.conv.sizes,
            gathered: self.gathered,
        };
        lowering.forward_op(op, &[images, weight, bias, order], &[output, indices])
    }

    fn backward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        lowering.enter(self.pool);
        let graph = lowering.graph();
        let d_pooled = lowering.gradient(self.output(graph))?;
        let indices = lowering.plan().own("indices")?;
        if !self.is_direct {
            let shape = graph.value(graph.node(self.conv.node).output).shape.clone();
            let d_output = lowering.plan().scratch("d_input", shape)?;
            let pool = MaxPoolBackward {
                geometry: self.geometry,
                disjoint: MaxPoolBackward::are_disjoint(&self.geometry),
            };
            lowering.backward_op(pool, &[indices, d_pooled], &[d_output])?;
            lowering.enter(self.conv.node);
            return self.conv.implicit_backward(lowering, d_output);
        }
        let (d_weight, accumulate) = lowering.parameter_gradient(self.conv.weight)?;
        let (d_bias, _) = lowering.parameter_gradient(self.bias)?;
        let [images, order] = self.images(lowering)?;
        let op = ConvPoolBackwardWeight {
            sizes: self.conv.sizes,
            gathered: self.gathered,
            accumulate,
            is_wide: false,
        };
        lowering.backward_op(op, &[images, indices, d_pooled, order], &[d_weight, d_bias])
    }
}
