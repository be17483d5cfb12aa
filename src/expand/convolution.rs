//! Convolutions: im2col with bias and ReLU in the product's epilogue, or implicit GEMM.

use super::{Group, Strategies, Strategy, conv_pool, relu, relu_pool};
use crate::error::Result;
use crate::graph::{Convolution, Graph, Lowering, NodeId, Piece, Relu, ValueId};
use crate::ops::{
    Col2im, ConvBackwardInput, ConvBackwardWeight, ConvForward, ConvSizes, Epilogue, Im2col,
    Product, ReduceSum,
};
use crate::plan::TensorId;

/// Convolutions of up to this many input channels read the images directly.
const FEW_CHANNELS: usize = 4;

/// Minimum number of runs of output positions, each with a partial gradient of the weight: enough
/// for many invocations, few enough to add quickly.
const PARTS: usize = 8;

/// Maximum output positions per run. Some drivers end loops after 65,535 iterations, and if rows
/// have one position, the loops take three iterations per position.
pub(super) const LONGEST_RUN: usize = 20_000;

/// A convolution's node and its inputs.
#[derive(Debug, Clone)]
pub(super) struct Conv {
    pub node: NodeId,
    pub sizes: ConvSizes,
    pub input: ValueId,
    pub weight: ValueId,
    pub bias: Option<ValueId>,
}

/// A convolution and the ReLU that follows, by im2col or by implicit GEMM.
#[derive(Debug)]
struct ConvRelu {
    conv: Conv,
    relu: Option<NodeId>,
    has_columns: bool,
}

pub(super) fn find(graph: &Graph, node: NodeId, strategies: &Strategies) -> Option<Group> {
    let inputs = &graph.node(node).inputs;
    let [input, weight] = [inputs[0], *inputs.get(1)?];
    let [image, kernel] = [input, weight].map(|id| &graph.value(id).shape);
    let convolution = graph.function::<Convolution>(node)?;
    if convolution.groups > 1 {
        return None;
    }
    let sizes = convolution.sizes("", image, kernel).ok()?;
    let conv = Conv {
        node,
        sizes,
        input,
        weight,
        bias: inputs.get(2).copied(),
    };
    let few = sizes.in_channels <= FEW_CHANNELS;
    let default = if few {
        Strategy::Gathered
    } else {
        Strategy::Columns
    };
    let kernel = strategies
        .get(&graph.node(node).name)
        .copied()
        .unwrap_or(default);
    if let Some(pooled) = conv_pool::find(graph, &conv, kernel) {
        return Some(pooled);
    }
    let relu = graph.next::<Relu>(node);
    // A pool includes the ReLU before it; a product without a bias has no epilogue.
    let relu =
        relu.filter(|&relu| conv.bias.is_some() && relu_pool::pool_after(graph, relu).is_none());
    let piece = ConvRelu {
        has_columns: kernel == Strategy::Columns,
        conv,
        relu,
    };
    Some(Group::new(
        std::iter::once(node).chain(relu).collect(),
        piece,
    ))
}

impl Piece for ConvRelu {
    fn output(&self, graph: &Graph) -> ValueId {
        graph.node(self.relu.unwrap_or(self.conv.node)).output
    }

    fn forward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        let Conv {
            node, sizes, bias, ..
        } = self.conv;
        lowering.enter(node);
        let [input, weight] = [self.conv.input, self.conv.weight].map(|id| lowering.tensor(id));
        let (input, weight) = (input?, weight?);
        let bias = bias.map(|bias| lowering.tensor(bias)).transpose()?;
        let value = self.output(lowering.graph());
        let relu = self.relu.is_some();
        if !self.has_columns {
            let output = lowering.make_output(value)?;
            let op = ConvForward {
                sizes,
                bias: bias.is_some(),
                relu,
                tile: None,
            };
            let read = [input, weight, bias.unwrap_or(weight)];
            return lowering.forward_op(op, &read, &[output]);
        }
        let (n, o, k) = (sizes.batch, sizes.out_channels, sizes.fan_in());
        let (geometry, area) = (sizes.geometry, sizes.geometry.output_area());
        let columns = lowering.plan().activation("columns", [n, k, area])?;
        let fours = area.is_multiple_of(4);
        lowering.forward_op(Im2col { geometry, fours }, &[input], &[columns])?;
        let epilogue = match bias {
            Some(_) => Epilogue::Bias {
                of_rows: true,
                relu,
            },
            None => Epilogue::Plain,
        };
        let product = Product {
            batch: n,
            a_shared: true,
            ..Product::new([o, area, k], [false, false], epilogue)
        };
        let output = lowering.make_output(value)?;
        let extra = bias.unwrap_or(columns);
        lowering.forward_op(product, &[weight, columns, extra], &[output])
    }

    fn backward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        let d_output = match self.relu {
            Some(relu) => relu::d_input(lowering, relu)?,
            None => lowering.gradient(lowering.graph().node(self.conv.node).output)?,
        };
        lowering.enter(self.conv.node);
        if self.has_columns {
            self.conv.columns_backward(lowering, d_output)
        } else {
            self.conv.implicit_backward(lowering, d_output)
        }
    }
}

impl Conv {
    /// Products with im2col's columns; the bias's gradient beside the weight's.
    fn columns_backward(&self, lowering: &mut Lowering<'_>, d_output: TensorId) -> Result<()> {
        let sizes = &self.sizes;
        let (n, o, k) = (sizes.batch, sizes.out_channels, sizes.fan_in());
        let (geometry, area) = (sizes.geometry, sizes.geometry.output_area());
        let columns = lowering.plan().own("columns")?;
        let d_weight = lowering.plan().scratch("d_weight_partials", [n, o, k])?;
        let mut partials = vec![d_weight];
        let mut epilogue = Epilogue::Plain;
        if self.bias.is_some() {
            partials.push(lowering.plan().scratch("d_bias_partials", [n, o])?);
            epilogue = Epilogue::RowSums;
        }
        let product = Product {
            batch: n,
            ..Product::new([o, k, area], [false, true], epilogue)
        };
        lowering.backward_op(product, &[d_output, columns, columns], &partials)?;
        self.add_parts(lowering, n, d_weight, partials.get(1).copied())?;

        if !lowering.has_gradient(self.input) {
            return Ok(());
        }
        let weight = lowering.tensor(self.weight)?;
        let d_columns = lowering.plan().scratch("d_columns", [n, k, area])?;
        let product = Product {
            batch: n,
            a_shared: true,
            ..Product::new([k, area, o], [true, false], Epilogue::Plain)
        };
        lowering.backward_op(product, &[weight, d_output, d_output], &[d_columns])?;
        let d_input = self.make_d_input(lowering)?;
        lowering.backward_op(Col2im { geometry }, &[d_columns], &[d_input])
    }

    /// By implicit GEMM.
    pub fn implicit_backward(&self, lowering: &mut Lowering<'_>, d_output: TensorId) -> Result<()> {
        let sizes = self.sizes;
        let positions = sizes.batch * sizes.geometry.output_area();
        let parts = PARTS.min(sizes.batch).max(positions.div_ceil(LONGEST_RUN));
        let (o, k) = (sizes.out_channels, sizes.fan_in());
        let d_weight = lowering.plan().scratch("d_weight_parts", [parts, o, k])?;
        let d_bias = lowering.plan().scratch("d_bias_parts", [parts, o])?;
        let input = lowering.tensor(self.input)?;
        let op = ConvBackwardWeight {
            sizes,
            parts,
            tile: None,
        };
        lowering.backward_op(op, &[input, d_output], &[d_weight, d_bias])?;
        self.add_parts(lowering, parts, d_weight, Some(d_bias))?;
        if !lowering.has_gradient(self.input) {
            return Ok(());
        }
        let weight = lowering.tensor(self.weight)?;
        let d_input = self.make_d_input(lowering)?;
        let op = ConvBackwardInput { sizes, tile: None };
        lowering.backward_op(op, &[weight, d_output], &[d_input])
    }

    /// Adds the parts of the gradients, bias before weight.
    fn add_parts(
        &self,
        lowering: &mut Lowering<'_>,
        parts: usize,
        d_weight: TensorId,
        d_bias: Option<TensorId>,
    ) -> Result<()> {
        let bias = self.bias.zip(d_bias);
        for (parameter, partials) in bias.into_iter().chain([(self.weight, d_weight)]) {
            let len = lowering.graph().value(parameter).shape.elements();
            let (gradient, accumulate) = lowering.parameter_gradient(parameter)?;
            let reduce = ReduceSum {
                accumulate,
                ..ReduceSum::new(parts, len)
            };
            lowering.backward_op(reduce, &[partials], &[gradient])?;
        }
        Ok(())
    }

    fn make_d_input(&self, lowering: &mut Lowering<'_>) -> Result<TensorId> {
        let shape = lowering.graph().value(self.input).shape.clone();
        let d_input = lowering.plan().scratch("d_input", shape)?;
        lowering.give_gradient(self.input, d_input);
        Ok(d_input)
    }
}
