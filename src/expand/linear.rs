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
        if let (Some(&bias), true, true) = (
            inputs.get(2),
            self.is_joined,
            lowering.has_gradient(inputs[0]),
        ) {
            let (d_bias, _) = lowering.parameter_gradient(bias)?;
            let d_input = lowering.plan().scratch("d_input", [n, i])?;
            let rectified = lowering.rectified(inputs[0]);
            let joined = LinearBackward {
                rows: n,
                outputs: o,
                inputs: i,
                masked: rectified.is_some(),
                accumulate,
            };
            let read = [d_output, input, weight];
            lowering.backward_op(joined, &read, &[d_weight, d_bias, d_input])?;
            if let Some(rectified) = rectified {
                lowering.set_masked(rectified);
            }
            lowering.give_gradient(inputs[0], d_input);
            return Ok(());
        }
        let mut outputs = vec![d_weight];
        let mut epilogue = Epilogue::Plain;
        if let Some(&bias) = inputs.get(2) {
            outputs.push(lowering.parameter_gradient(bias)?.0);
            epilogue = Epilogue::RowSums;
        }
        let product = Product {
            accumulate,
            ..Product::new([o, i, n], [true, false], epilogue)
        };
        lowering.backward_op(product, &[d_output, input, input], &outputs)?;
        if !lowering.has_gradient(inputs[0]) {
            return Ok(());
        }
        let d_input = lowering.plan().scratch("d_input", [n, i])?;
        let rectified = lowering.rectified(inputs[0]);
        let (extra, epilogue) = match rectified {
            Some(rectified) => {
                lowering.set_masked(rectified);
                (input, Epilogue::ReluGradient)
            }
            None => (weight, Epilogue::Plain),
        };
        let product = Product::new([n, i, o], [false, false], epilogue);
        lowering.backward_op(product, &[d_output, weight, extra], &[d_input])?;
        lowering.give_gradient(inputs[0], d_input);
        Ok(())
    }
}
