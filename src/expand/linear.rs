//! Fully connected layers: bias and ReLU in the product's epilogue, the bias's gradient beside the
//! weight's, ReLU's gradient in that of the input.

use super::{Group, Strategies, Strategy, relu};
use crate::error::Result;
use crate::graph::{Graph, Linear, Lowering, NodeId, Piece, Relu, ValueId, linear_sizes};
use crate::ops::{Epilogue, LinearBackward, Product};

/// A fully connected layer, and the ReLU that follows if the layer has a bias.
#[derive(Debug)]
struct Products {
    linear: NodeId,
    relu: Option<NodeId>,
    /// N, O, I.
    sizes: [usize; 3],
    /// Whether one kernel computes all gradients, if there are three.
    is_joined: bool,
}

pub(super) fn find(graph: &Graph, linear: NodeId, strategies: &Strategies) -> Option<Group> {
    graph.function::<Linear>(linear)?;
    let inputs = &graph.node(linear).inputs;
    let relu = graph.next::<Relu>(linear).filter(|_| inputs.len() == 3);
    let piece = Products {
        linear,
        relu,
        sizes: linear_sizes(&graph.value(inputs[0]).shape, &graph.value(inputs[1]).shape),
        is_joined: strategies.get(&graph.node(linear).name) == Some(&Strategy::Joined),
    };
    Some(Group::new(
        std::iter::once(linear).chain(relu).collect(),
        piece,
    ))
}

impl Piece for Products {
    fn output(&self, graph: &Graph) -> ValueId {
        graph.node(self.relu.unwrap_or(self.linear)).output
    }

    fn forward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        lowering.enter(self.linear);
        let graph = lowering.graph();
        let inputs = &graph.node(self.linear).inputs;
        let (input, weight) = (lowering.tensor(inputs[0])?, lowering.tensor(inputs[1])?);
        let (extra, epilogue) = match inputs.get(2) {
            None => (weight, Epilogue::Plain),
            Some(&bias) => {
                let relu = self.relu.is_some();
                let of_rows = false;
                (lowering.tensor(bias)?, Epilogue::Bias { of_rows, relu })
            }
        };
        let output = lowering.make_output(self.output(graph))?;
        let product = Product::new(self.sizes, [false, true], epilogue);
        lowering.forward_op(product, &[input, weight, extra], &[output])
    }

    fn backward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        let graph = lowering.graph();
        let d_output = match self.relu {
            Some(relu) => relu::d_input(lowering, relu)?,
            None => lowering.gradient(graph.node(self.linear).output)?,
        };
        lowering.enter(self.linear);
        let [n, o, i] = self.sizes;
        let inputs = &graph.node(self.linear).inputs;
        let (input, weight) = (lowering.tensor(inputs[0])?, lowering.tensor(inputs[1])?);
        let (d_weight, accumulate) = lowering.parameter_gradient(inputs[1])?;
        let d_bias = inputs.get(2).map(|&bias| lowering.parameter_gradient(bias));
        let d_bias = d_bias.transpose()?.map(|(d_bias, _)| d_bias);
        let d_input = match lowering.has_gradient(inputs[0]) {
            true => Some(lowering.plan().scratch("d_input", [n, i])?),
            false => None,
        };
        let rectified = d_input.and_then(|_| lowering.rectified(inputs[0]));
        if let (true, Some(d_bias), Some(d_input)) = (self.is_joined, d_bias, d_input) {
            let joined = LinearBackward {
                rows: n,
                outputs: o,
                inputs: i,
                masked: rectified.is_some(),
                accumulate,
            };
            let read = [d_output, input, weight];
            lowering.backward_op(joined, &read, &[d_weight, d_bias, d_input])?;
        } else {
            let epilogue = match d_bias {
                Some(_) => Epilogue::RowSums,
                None => Epilogue::Plain,
            };
            let of_weight = Product {
                accumulate,
                ..Product::new([o, i, n], [true, false], epilogue)
            };
            let written: Vec<_> = std::iter::once(d_weight).chain(d_bias).collect();
            lowering.backward_op(of_weight, &[d_output, input, input], &written)?;
            if let Some(d_input) = d_input {
                let (extra, epilogue) = match rectified {
                    Some(_) => (input, Epilogue::ReluGradient),
                    None => (weight, Epilogue::Plain),
                };
                let of_input = Product::new([n, i, o], [false, false], epilogue);
                lowering.backward_op(of_input, &[d_output, weight, extra], &[d_input])?;
            }
        }
        if let Some(rectified) = rectified {
            lowering.set_masked(rectified);
        }
        if let Some(d_input) = d_input {
            lowering.give_gradient(inputs[0], d_input);
        }
        Ok(())
    }
}
