//! Fully connected layers: bias and ReLU in the product's epilogue, the bias's gradient beside the
//! weight's, ReLU's gradient in that of the input.

use super::graph::Graph;
use crate::error::Result;
use crate::ops::{BiasForward, Epilogue, Gemm, Product, ReduceSum, ReluBackward, ReluForward};
use crate::plan::Phase;

pub(super) fn fuse(graph: &mut Graph) -> Result<()> {
    for place in graph.places() {
        for phase in [Phase::Forward, Phase::Backward] {
            let Some(gemm) = graph.op::<Gemm>(place, phase).cloned() else {
                continue;
            };
            if gemm.split_k != 1 || gemm.b.shared && gemm.batch > 1 {
                continue;
            }
            let product = product_of(&gemm);
            match phase {
                Phase::Forward => forward(graph, place, product)?,
                _ => backward(graph, place, product)?,
            }
        }
    }
    Ok(())
}

/// The same product, by a kernel that can be chosen.
pub(super) fn product_of(gemm: &Gemm) -> Product {
    let transposed = [gemm.a.transposed, gemm.b.transposed];
    Product {
        batch: gemm.batch,
        a_shared: gemm.a.shared,
        accumulate: gemm.accumulate,
        ..Product::new([gemm.m, gemm.n, gemm.k], transposed, Epilogue::Plain)
    }
}

/// `gemm`, `bias_forward`, `relu_forward` → one product.
fn forward(graph: &mut Graph, place: usize, mut product: Product) -> Result<()> {
    let (inputs, mut output) = (graph.inputs(place), graph.outputs(place)[0]);
    let mut extra = inputs[1];
    let bias = graph.only_reader::<BiasForward>(output, Phase::Forward);
    let of_columns = |&place: &usize| {
        graph
            .op::<BiasForward>(place, Phase::Forward)
            .is_some_and(|b| b.area == 1)
    };
    if let Some(bias) = bias.filter(of_columns).filter(|_| product.batch == 1) {
        (extra, output) = (graph.inputs(bias)[1], graph.outputs(bias)[0]);
        graph.remove(bias);
        let relu = graph.only_reader::<ReluForward>(output, Phase::Forward);
        if let Some(relu) = relu {
            output = graph.outputs(relu)[0];
            graph.remove(relu);
        }
        product.epilogue = Epilogue::Bias {
            of_rows: false,
            relu: relu.is_some(),
        };
    }
    graph.replace(place, product, &[inputs[0], inputs[1], extra], &[output])
}

/// `reduce_sum` (bias) and `gemm` (weight) → one product with sums of rows; `gemm` (input),
/// `relu_backward` → one masked product.
fn backward(graph: &mut Graph, place: usize, mut product: Product) -> Result<()> {
    let (inputs, mut output) = (graph.inputs(place), graph.outputs(place)[0]);
    let mut extra = inputs[1];
    let mut outputs = Vec::new();
    let (k, m, accumulate) = (product.k, product.m, product.accumulate);
    let sums_rows = |&place: &usize| {
        graph
            .op::<ReduceSum>(place, Phase::Backward)
            .is_some_and(|reduce| {
                (reduce.parts, reduce.len, reduce.accumulate) == (k, m, accumulate)
            })
    };
    let bias = graph.readers(inputs[0]).into_iter().find(sums_rows);
    let is_weight = product.batch == 1 && product.a_transposed;
    let relu = graph.only_reader::<ReluBackward>(output, Phase::Backward);
    let gradient_of = |&relu: &usize| graph.same(graph.inputs(relu)[1], output);
    if let Some(bias) = bias.filter(|_| is_weight) {
        outputs.push(graph.outputs(bias)[0]);
        graph.remove(bias);
        product.epilogue = Epilogue::Sums;
    } else if let Some(relu) = relu.filter(gradient_of).filter(|_| !accumulate) {
        (extra, output) = (graph.inputs(relu)[0], graph.outputs(relu)[0]);
        graph.remove(relu);
        product.epilogue = Epilogue::Masked;
    }
    outputs.insert(0, output);
    graph.replace(place, product, &[inputs[0], inputs[1], extra], &outputs)
}
