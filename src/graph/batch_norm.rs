//! Batch normalisation.

use super::text::Options;
use super::{Function, Graph, Lowering, NodeId, Site, ValueId};
use crate::error::{Error, Result};
use crate::ops::{
    BatchNormBackwardInput, BatchNormBackwardReduce, BatchNormBackwardSums, BatchNormForward,
    BatchNormInfer, BatchNormMoments, BatchNormStatistics, Op,
};
use crate::plan::TensorId;
use crate::shape::Shape;

/// `output = (input − mean) / √(variance + eps) · weight + bias` per channel (Ioffe and Szegedy,
/// 2015, arXiv:1502.03167), for an input (N, C, …).
///
/// Training uses mean and variance of the batch's real rows, and updates the running ones;
/// inference uses the running ones. Inputs: `input`, `weight` (C), `bias` (C), `running_mean` (C),
/// `running_var` (C), `num_batches_tracked` (1).
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm {
    /// Added to the variance, above zero.
    pub eps: f32,
    /// The weight of a batch in the running statistics.
    pub momentum: f32,
}

impl BatchNorm {
    pub(super) fn read(options: &Options<'_>) -> Option<Box<dyn Function>> {
        Some(Box::new(BatchNorm {
            eps: options.get("eps")?,
            momentum: options.get("momentum")?,
        }))
    }
}

/// The names of the tensors that a node's `forward` keeps for its `backward`.
const MEAN: &str = "mean";
const INVERSE_DEVIATION: &str = "inverse_deviation";

/// A batch norm during lowering, alone or with the ReLU that follows.
#[derive(Debug)]
pub(crate) struct Norm {
    /// Its node.
    pub node: NodeId,
    /// The ReLU's node.
    pub relu: Option<NodeId>,
}

impl Norm {
    /// The output: of the norm, or of its ReLU.
    pub fn output(&self, graph: &Graph) -> ValueId {
        graph.node(self.relu.unwrap_or(self.node)).output
    }

    /// N, C and the elements per channel and row.
    fn sizes(&self, graph: &Graph) -> (usize, usize, usize) {
        let shape = &graph.value(self.output(graph)).shape;
        let dims = shape.dims();
        (dims[0], dims[1], Shape::new(&dims[2..]).elements())
    }

    fn inputs(&self, lowering: &Lowering<'_>) -> Result<Vec<TensorId>> {
        let inputs = lowering.graph().node(self.node).inputs.iter();
        inputs.map(|&input| lowering.tensor(input)).collect()
    }

    /// In training, the batch's statistics and the normalisation with them; in inference, with the
    /// running ones.
    pub fn forward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        lowering.enter(self.node);
        let graph = lowering.graph();
        let Some(&BatchNorm { eps, momentum }) = graph.function(self.node) else {
            return Ok(());
        };
        let (rows, channels, area) = self.sizes(graph);
        let relu = self.relu.is_some();
        let inputs = self.inputs(lowering)?;
        let [x, weight, bias, running_mean, running_var, batches] = inputs[..] else {
            return Ok(());
        };
        let output = lowering.make_output(self.output(graph))?;
        let infer = BatchNormInfer {
            rows,
            channels,
            area,
            eps,
            relu,
        };
        let read = [x, running_mean, running_var, weight, bias];
        lowering.inference_op(infer, &read, &[output])?;
        if !lowering.trains() {
            return Ok(());
        }
        let moments = BatchNormMoments {
            rows,
            channels,
            area,
        };
        let parts = moments.bindings().outputs[0].words;
        let means = lowering.plan().scratch("means", [parts])?;
        let squares = lowering.plan().scratch("squares", [parts])?;
        lowering.training_op(moments, &[x], &[means, squares])?;
        let mean = lowering.plan().activation(MEAN, [channels])?;
        let inverse_deviation = lowering.plan().activation(INVERSE_DEVIATION, [channels])?;
        let statistics = BatchNormStatistics {
            rows,
            channels,
            area,
            eps,
            momentum,
        };
        let written = [mean, inverse_deviation, running_mean, running_var, batches];
        lowering.training_op(statistics, &[means, squares], &written)?;
        let normalise = BatchNormForward {
            rows,
            channels,
            area,
            relu,
        };
        let read = [x, mean, inverse_deviation, weight, bias];
        lowering.training_op(normalise, &read, &[output])
    }

    /// `d_bias = Σ d_output`, `d_weight = Σ d_output·x̂`, and `d_input` from both sums: the
    /// statistics depend on every element of a channel.
    pub fn backward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        lowering.enter(self.node);
        let graph = lowering.graph();
        let (rows, channels, area) = self.sizes(graph);
        let relu = self.relu.is_some();
        let value = self.output(graph);
        let d_output = lowering.gradient(value)?;
        let (output, inputs) = (lowering.tensor(value)?, self.inputs(lowering)?);
        let (x, weight) = (inputs[0], inputs[1]);
        let mean = lowering.plan().own(MEAN)?;
        let inverse_deviation = lowering.plan().own(INVERSE_DEVIATION)?;

        let op = BatchNormBackwardSums {
            rows,
            channels,
            area,
            relu,
        };
        let parts = op.bindings().outputs[0].words;
        let d_bias_partials = lowering.plan().scratch("d_bias_partials", [parts])?;
        let d_weight_partials = lowering.plan().scratch("d_weight_partials", [parts])?;
        let partials = [d_bias_partials, d_weight_partials];
        let read = [x, d_output, output, mean, inverse_deviation];
        lowering.backward_op(op, &read, &partials)?;

        let values = &graph.node(self.node).inputs;
        let (d_weight, accumulate) = lowering.parameter_gradient(values[1])?;
        let (d_bias, _) = lowering.parameter_gradient(values[2])?;
        let sums = lowering.plan().scratch("sums", [2 * channels])?;
        let reduce = BatchNormBackwardReduce {
            rows,
            channels,
            area,
            accumulate,
        };
        lowering.backward_op(reduce, &partials, &[sums, d_weight, d_bias])?;

        if !lowering.has_gradient(values[0]) {
            return Ok(());
        }
        let shape = graph.value(values[0]).shape.clone();
        let d_input = lowering.plan().scratch("d_input", shape)?;
        lowering.give_gradient(values[0], d_input);
        let op = BatchNormBackwardInput {
            rows,
            channels,
            area,
            relu,
        };
        let read = [x, d_output, output, mean, inverse_deviation, weight, sums];
        lowering.backward_op(op, &read, &[d_input])
    }
}

impl Function for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn options(&self) -> String {
        format!("eps {}, momentum {}", self.eps, self.momentum)
    }

    fn output_shape(&self, at: &str, inputs: &[&Shape]) -> Result<Shape> {
        let channels = inputs[1].dims()[0];
        for (what, value, passes) in [
            ("eps", self.eps, self.eps > 0.0),
            (
                "momentum",
                self.momentum,
                (0.0..=1.0).contains(&self.momentum),
            ),
        ] {
            if !passes || !value.is_finite() {
                let expected = match what {
                    "eps" => "a finite number above 0",
                    _ => "0 to 1",
                };
                return Err(Error::value(format!("{at}: {what}"), expected, value));
            }
        }
        match inputs[0].dims() {
            [_, c, ..] if *c == channels => Ok(inputs[0].clone()),
            _ => Err(Error::Shape {
                at: at.to_owned(),
                expected: format!("(N, {channels}, H, W) or (N, {channels})"),
                got: inputs[0].to_string(),
            }),
        }
    }

    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let (node, relu) = (site.node(), None);
        Norm { node, relu }.forward(site.lowering())
    }

    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let (node, relu) = (site.node(), None);
        Norm { node, relu }.backward(site.lowering())
    }
}
