//! Depthwise convolution: each input channel has its own filters.

use super::convolution::d_bias;
use super::{Convolution, Graph, Lowering, NodeId, ValueId};
use crate::error::Result;
use crate::ops::{
    BiasForward, DepthwiseBackwardInput, DepthwiseBackwardWeight, DepthwiseForward, DepthwiseSizes,
    ReduceSum,
};
use crate::plan::TensorId;

/// Output positions per partial gradient of the weight. There are few weights, so short runs keep
/// the adapter busy; they also keep loops and errors small.
const RUN: usize = 1024;

/// A depthwise convolution during lowering, alone or with the ReLU that follows.
#[derive(Debug)]
pub(crate) struct Depthwise {
    /// The convolution's node.
    pub node: NodeId,
    /// The ReLU's node.
    pub relu: Option<NodeId>,
}

impl Depthwise {
    /// The output: of the convolution, or of its ReLU.
    pub fn output(&self, graph: &Graph) -> ValueId {
        graph.node(self.relu.unwrap_or(self.node)).output
    }

    fn sizes(&self, graph: &Graph) -> Result<Option<DepthwiseSizes>> {
        let inputs = &graph.node(self.node).inputs;
        let [input, weight] = [0, 1].map(|at| &graph.value(inputs[at]).shape);
        let Some(convolution) = graph.function::<Convolution>(self.node) else {
            return Ok(None);
        };
        let of_group = convolution.sizes("", input, weight)?;
        Ok(Some(DepthwiseSizes {
            batch: input.dims()[0],
            channels: input.dims()[1],
            multiplier: of_group.out_channels,
            geometry: of_group.geometry,
        }))
    }

    fn inputs(&self, lowering: &Lowering<'_>) -> Result<Vec<TensorId>> {
        let inputs = lowering.graph().node(self.node).inputs.iter();
        inputs.map(|&input| lowering.tensor(input)).collect()
    }

    /// The convolution, then the bias, each by an op of its own.
    pub fn readable_forward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        lowering.enter(self.node);
        let graph = lowering.graph();
        let Some(sizes) = self.sizes(graph)? else {
            return Ok(());
        };
        let inputs = self.inputs(lowering)?;
        let op = DepthwiseForward {
            sizes,
            bias: false,
            relu: false,
        };
        let value = self.output(graph);
        let (input, weight) = (inputs[0], inputs[1]);
        let Some(&bias) = inputs.get(2) else {
            let output = lowering.make_output(value)?;
            return lowering.forward_op(op, &[input, weight, weight], &[output]);
        };
        let shape = graph.value(value).shape.clone();
        let product = lowering.plan().activation("product", shape)?;
        lowering.forward_op(op, &[input, weight, weight], &[product])?;
        let add = BiasForward {
            batch: sizes.batch,
            channels: sizes.out_channels(),
            area: sizes.geometry.output_area(),
        };
        let output = lowering.make_output(value)?;
        lowering.forward_op(add, &[product, bias], &[output])
    }

    /// The convolution, the bias and ReLU in one op.
    pub fn fused_forward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        lowering.enter(self.node);
        let graph = lowering.graph();
        let Some(sizes) = self.sizes(graph)? else {
            return Ok(());
        };
        let inputs = self.inputs(lowering)?;
        let bias = inputs.get(2).copied();
        let op = DepthwiseForward {
            sizes,
            bias: bias.is_some(),
            relu: self.relu.is_some(),
        };
        let output = lowering.make_output(self.output(graph))?;
        let read = [inputs[0], inputs[1], bias.unwrap_or(inputs[1])];
        lowering.forward_op(op, &read, &[output])
    }

    /// The gradients, from that of the convolution's output.
    pub fn backward(&self, lowering: &mut Lowering<'_>, d_output: TensorId) -> Result<()> {
        lowering.enter(self.node);
        let graph = lowering.graph();
        let Some(sizes) = self.sizes(graph)? else {
            return Ok(());
        };
        let values = &graph.node(self.node).inputs;
        let inputs = self.inputs(lowering)?;
        if values.len() == 3 {
            d_bias(lowering, self.node, d_output)?;
        }
        let parts = sizes.positions().div_ceil(RUN);
        let (d_weight, accumulate) = lowering.parameter_gradient(values[1])?;
        let len = sizes.weight_len();
        let partials = lowering.plan().scratch("d_weight_partials", [parts, len])?;
        let op = DepthwiseBackwardWeight { sizes, parts };
        lowering.backward_op(op, &[inputs[0], d_output], &[partials])?;
        let add_parts = ReduceSum {
            accumulate,
            ..ReduceSum::new(parts, len)
        };
        lowering.backward_op(add_parts, &[partials], &[d_weight])?;

        if !lowering.has_gradient(values[0]) {
            return Ok(());
        }
        let shape = graph.value(values[0]).shape.clone();
        let d_input = lowering.plan().scratch("d_input", shape)?;
        lowering.give_gradient(values[0], d_input);
        let op = DepthwiseBackwardInput { sizes };
        lowering.backward_op(op, &[inputs[1], d_output], &[d_input])
    }
}
