//! Convolutions: bias and ReLU in the product's epilogue; or no columns at all.

use super::graph::Graph;
use super::linear::product_of;
use super::{ConvKernel, ConvKernels, gather};
use crate::error::Result;
use crate::ops::{
    BiasBackward, BiasForward, Col2im, ConvBackwardInput, ConvBackwardWeight, ConvForward,
    ConvPoolBackwardWeight, ConvPoolForward, ConvSizes, Epilogue, Gemm, Im2col, MaxPoolBackward,
    MaxPoolForward, Op, Product, ReduceSum, ReluForward,
};
use crate::plan::{Phase, Plan, TensorId};
use crate::shape::Window;

/// Input channels up to which a convolution counts as one of few, whose images are read directly.
const FEW_CHANNELS: usize = 4;

/// The fewest runs of output positions over which the weight's gradient is summed before the runs are
/// added: work for many invocations, partial sums that are soon added.
const PARTS: usize = 8;

/// The most output positions of such a run. Some drivers end loops after 65,535 iterations, and where rows have
/// one position its loops go round three times for each.
const LONGEST_RUN: usize = 20_000;

/// A convolution with a bias, where its ops stand.
#[derive(Debug)]
struct Site {
    name: String,
    sizes: ConvSizes,
    im2col: usize,
    gemm: usize,
    bias: usize,
    /// The ReLU that follows, unless a pool does.
    relu: Option<usize>,
    /// The 2×2 pool of the output after ReLU that follows.
    pool: Option<usize>,
    backward: Backward,
}

#[derive(Debug)]
struct Backward {
    /// Sums the gradient over the pixels of a plane.
    bias: usize,
    /// Adds those of all images.
    reduce_bias: usize,
    weight: usize,
    reduce_weight: usize,
    /// `gemm` and `col2im`.
    input: Option<(usize, usize)>,
}

/// The layers that [`fuse`] finds.
pub(super) fn names(plan: &Plan) -> Vec<String> {
    let graph = Graph::new(plan.clone());
    let sites = graph.places().filter_map(|place| find(&graph, place));
    sites.map(|site| site.name).collect()
}

/// `conv1` of `conv1.columns`.
fn layer_of(tensor: &str) -> String {
    tensor
        .rsplit_once('.')
        .map_or(tensor, |(layer, _)| layer)
        .to_owned()
}

pub(super) fn fuse(graph: &mut Graph, kernels: &ConvKernels) -> Result<()> {
    for place in graph.places() {
        let Some(site) = find(graph, place) else {
            continue;
        };
        let few = site.sizes.in_channels <= FEW_CHANNELS;
        let default = if few {
            ConvKernel::Gathered
        } else {
            ConvKernel::Columns
        };
        let pooled = site.pool.is_some() && ConvPoolForward::fits(&site.sizes);
        match kernels.get(&site.name).copied().unwrap_or(default) {
            ConvKernel::Pooled if pooled => pooled_conv(graph, &site)?,
            ConvKernel::Gathered if pooled => {
                let images = graph.inputs(site.im2col)[0];
                pooled_conv(graph, &site)?;
                gather::fold(graph, images)?;
            }
            ConvKernel::Columns => columns_conv(graph, &site)?,
            ConvKernel::Implicit | ConvKernel::Pooled | ConvKernel::Gathered => {
                implicit_conv(graph, &site)?;
            }
        }
    }
    Ok(())
}

fn find(graph: &Graph, im2col: usize) -> Option<Site> {
    let geometry = graph.op::<Im2col>(im2col, Phase::Forward)?.geometry;
    let columns = graph.outputs(im2col)[0];
    let readers = graph.readers(columns);
    let reader = |phase| {
        let mut gemms = readers
            .iter()
            .filter(|&&place| graph.op::<Gemm>(place, phase).is_some());
        gemms.next().copied()
    };
    let gemm = reader(Phase::Forward)?;
    let Gemm {
        batch,
        m: out_channels,
        ..
    } = *graph.op::<Gemm>(gemm, Phase::Forward)?;
    let sizes = ConvSizes {
        batch,
        in_channels: geometry.planes / batch,
        out_channels,
        geometry,
    };
    let bias = graph.only_reader::<BiasForward>(graph.outputs(gemm)[0], Phase::Forward)?;
    let output = graph.outputs(bias)[0];
    let pool = graph
        .only_reader::<MaxPoolForward>(output, Phase::Forward)
        .filter(|&pool| {
            let op = graph.op::<MaxPoolForward>(pool, Phase::Forward);
            let halves = Window {
                kernel: 2.into(),
                stride: 2.into(),
                padding: 0.into(),
            };
            op.is_some_and(|op| op.relu && op.geometry.window == halves)
        });

    let weight = reader(Phase::Backward)?;
    let d_output = graph.inputs(weight)[0];
    let of_gradient = graph.readers(d_output);
    let find_op = |test: &dyn Fn(usize) -> bool| of_gradient.iter().copied().find(|&p| test(p));
    let bias_sum = find_op(&|place| graph.op::<BiasBackward>(place, Phase::Backward).is_some())?;
    let kernels = graph.inputs(gemm)[0];
    let input = find_op(&|place| {
        graph.op::<Gemm>(place, Phase::Backward).is_some()
            && graph.same(graph.inputs(place)[0], kernels)
    });
    let input = match input {
        Some(gemm) => {
            let d_columns = graph.outputs(gemm)[0];
            Some((
                gemm,
                graph.only_reader::<Col2im>(d_columns, Phase::Backward)?,
            ))
        }
        None => None,
    };
    let reduce =
        |sums: usize| graph.only_reader::<ReduceSum>(graph.outputs(sums)[0], Phase::Backward);
    Some(Site {
        name: layer_of(&graph.tensor(columns).name),
        sizes,
        im2col,
        gemm,
        bias,
        relu: graph.only_reader::<ReluForward>(output, Phase::Forward),
        pool,
        backward: Backward {
            bias: bias_sum,
            reduce_bias: reduce(bias_sum)?,
            weight,
            reduce_weight: reduce(weight)?,
            input,
        },
    })
}

impl Site {
    fn factors(&self, graph: &Graph) -> [TensorId; 3] {
        let (weight, bias) = (graph.inputs(self.gemm)[0], graph.inputs(self.bias)[1]);
        [graph.inputs(self.im2col)[0], weight, bias]
    }

    /// What comes out after the bias and ReLU, whose ops go.
    fn take_output(&self, graph: &mut Graph) -> TensorId {
        let last = self.relu.unwrap_or(self.bias);
        let output = graph.outputs(last)[0];
        graph.remove(self.bias);
        if let Some(relu) = self.relu {
            graph.remove(relu);
        }
        output
    }
}

/// Products over im2col's columns, with bias and ReLU; the bias's gradient beside the weight's.
fn columns_conv(graph: &mut Graph, site: &Site) -> Result<()> {
    let (inputs, [input, _, bias]) = (graph.inputs(site.gemm), site.factors(graph));
    let geometry = site.sizes.geometry;
    let fours = geometry.output_area().is_multiple_of(4);
    graph.replace(
        site.im2col,
        Im2col { geometry, fours },
        &[input],
        &[inputs[1]],
    )?;
    let epilogue = Epilogue::Bias {
        of_rows: true,
        relu: site.relu.is_some(),
    };
    if let Some(gemm) = graph.op::<Gemm>(site.gemm, Phase::Forward) {
        let product = Product {
            epilogue,
            ..product_of(gemm)
        };
        let output = site.take_output(graph);
        graph.replace(site.gemm, product, &[inputs[0], inputs[1], bias], &[output])?;
    }
    let backward = &site.backward;
    if let Some(gemm) = graph.op::<Gemm>(backward.weight, Phase::Backward) {
        let product = Product {
            epilogue: Epilogue::Sums,
            ..product_of(gemm)
        };
        let inputs = graph.inputs(backward.weight);
        let outputs = [
            graph.outputs(backward.weight)[0],
            graph.outputs(backward.bias)[0],
        ];
        // The sum over the images of the bias's gradient stands before that of the weight's.
        graph.remove(backward.weight);
        graph.replace(
            backward.bias,
            product,
            &[inputs[0], inputs[1], inputs[1]],
            &outputs,
        )?;
    }
    Ok(())
}

/// Kernels that read the columns from the image.
fn implicit_conv(graph: &mut Graph, site: &Site) -> Result<()> {
    let factors = site.factors(graph);
    let output = site.take_output(graph);
    let forward = ConvForward {
        sizes: site.sizes,
        relu: site.relu.is_some(),
    };
    graph.replace(site.gemm, forward, &factors, &[output])?;
    graph.remove(site.im2col);
    implicit_gradients(graph, site, factors)
}

fn implicit_gradients(graph: &mut Graph, site: &Site, factors: [TensorId; 3]) -> Result<()> {
    let (sizes, backward) = (site.sizes, &site.backward);
    let d_output = graph.inputs(backward.weight)[0];
    let positions = sizes.batch * sizes.geometry.output_area();
    let parts = PARTS.min(sizes.batch).max(positions.div_ceil(LONGEST_RUN));
    let (o, k) = (sizes.out_channels, sizes.fan_in());
    let d_weight = graph.scratch(format!("{}.d_weight_parts", site.name), [parts, o, k]);
    let d_bias = graph.scratch(format!("{}.d_bias_parts", site.name), [parts, o]);
    let weight = ConvBackwardWeight { sizes, parts };
    graph.remove(backward.weight);
    graph.replace(
        backward.bias,
        weight,
        &[factors[0], d_output],
        &[d_weight, d_bias],
    )?;
    for (place, partials) in [
        (backward.reduce_bias, d_bias),
        (backward.reduce_weight, d_weight),
    ] {
        if let Some(reduce) = graph.op::<ReduceSum>(place, Phase::Backward).cloned() {
            let sum = graph.outputs(place)[0];
            graph.replace(place, ReduceSum { parts, ..reduce }, &[partials], &[sum])?;
        }
    }
    if let Some((gemm, col2im)) = backward.input {
        let d_input = graph.outputs(col2im)[0];
        graph.remove(gemm);
        let op = ConvBackwardInput { sizes };
        graph.replace(col2im, op, &[factors[1], d_output], &[d_input])?;
    }
    Ok(())
}

/// Convolution and pool in one; where no gradient of the input is needed, that of the weight from the
/// pooled gradient.
fn pooled_conv(graph: &mut Graph, site: &Site) -> Result<()> {
    let (Some(pool), backward) = (site.pool, &site.backward) else {
        return Ok(());
    };
    let (factors, outputs) = (site.factors(graph), graph.outputs(pool));
    for place in [site.im2col, site.gemm, site.bias] {
        graph.remove(place);
    }
    let forward = ConvPoolForward {
        sizes: site.sizes,
        gathered: None,
    };
    // The images stand for the order, which is not read.
    let [images, weight, bias] = factors;
    graph.replace(pool, forward, &[images, weight, bias, images], &outputs)?;
    if backward.input.is_some() {
        return implicit_gradients(graph, site, factors);
    }
    let d_output = graph.inputs(backward.weight)[0];
    let scatter = graph.writer(d_output);
    let is_pool = |&place: &usize| {
        graph
            .op::<MaxPoolBackward>(place, Phase::Backward)
            .is_some()
    };
    let reduce = graph.op::<ReduceSum>(backward.reduce_weight, Phase::Backward);
    let (Some(scatter), Some(reduce)) = (scatter.filter(is_pool), reduce) else {
        return implicit_gradients(graph, site, factors);
    };
    let op = ConvPoolBackwardWeight {
        sizes: site.sizes,
        gathered: None,
        accumulate: reduce.accumulate,
    };
    if op.longest_loop() > LONGEST_RUN as u64 {
        return implicit_gradients(graph, site, factors);
    }
    let (indices, d_pooled) = (graph.inputs(scatter)[0], graph.inputs(scatter)[1]);
    let gradients =
        [backward.reduce_weight, backward.reduce_bias].map(|place| graph.outputs(place)[0]);
    for place in [
        scatter,
        backward.bias,
        backward.reduce_bias,
        backward.weight,
    ] {
        graph.remove(place);
    }
    graph.replace(
        backward.reduce_weight,
        op,
        &[images, indices, d_pooled, images],
        &gradients,
    )
}
