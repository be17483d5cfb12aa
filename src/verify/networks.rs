//! Random networks of large sizes: every op as the adapter would run it, by single elements.

use std::collections::BTreeSet;

use super::large::Checker;
use super::{OutputReport, lanes};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::expand::Strategy;
use crate::graph::Graph;
use crate::loss::{Loss, Reduction};
use crate::nn::{
    AdaptiveAvgPool2d, AvgPool2d, BatchNorm2d, Concat, Conv2d, ConvTranspose2d, Dropout, Flatten,
    GELU, GlobalAvgPool2d, GroupNorm, LayerNorm, LeakyReLU, Linear, MaxPool2d, ReLU, Residual,
    Sequential, SiLU, Sigmoid, Softmax, SqueezeExcitation, Tanh, Training, Upsample,
};
use crate::ops::case::{Floats, Random};
use crate::optim::{Adam, Clipping, Lion, Optimizer, RmsProp, Sgd};
use crate::plan::Plan;
use crate::shape::Padding;

/// Maximum floating-point operations per training step, so that a network takes seconds on a CPU.
const MOST_FLOP: u64 = 2_000_000_000;

/// Maximum words of all buffers: 1.5 GiB.
const MOST_WORDS: usize = 400 << 20;

/// A random network, and the reports of its ops.
#[derive(Debug, Clone)]
pub struct NetworkReport {
    /// The layers, the shape of a sample, the batch, and the convolution strategies.
    pub network: String,
    /// The kinds of layers and options that were drawn; of long networks only.
    pub kinds: BTreeSet<String>,
    /// Each output of each op, or the reason why the adapter cannot run the network.
    pub outputs: Result<Vec<OutputReport>, String>,
}

impl NetworkReport {
    /// Whether every output is within its bound, or the network was refused.
    pub fn passes(&self) -> bool {
        let outputs = self.outputs.iter().flatten();
        outputs.into_iter().all(OutputReport::passes)
    }
}

/// Draws `count` networks, each with one dimension up to the adapter's limits, and checks every op
/// of each at its own size. The same seed draws the same networks on every machine.
///
/// # Errors
/// The device is not an adapter, was lost or reported a fault. A wrong result is not an error but a
/// report.
pub async fn networks(device: &Device, seed: u64, count: usize) -> Result<Vec<NetworkReport>> {
    let mut random = Random::new(seed, Floats::Hostile);
    let mut drawn = Vec::new();
    while drawn.len() < count {
        drawn.extend(draw(&mut random));
    }
    let parts = lanes::parts(device, drawn);
    let reports = lanes::each(device, parts, |part| check(device, part)).await?;
    Ok(reports.into_iter().flatten().collect())
}

async fn check(device: &Device, networks: Vec<(String, Plan)>) -> Result<Vec<NetworkReport>> {
    let mut checker = Checker::new(device).await?;
    let mut reports = Vec::new();
    for (network, plan) in networks {
        let outputs = match checker.check(plan).await {
            Ok(outputs) => Ok(outputs),
            Err(error @ (Error::Limit { .. } | Error::Gpu { .. })) => Err(error.to_string()),
            Err(error) => return Err(error),
        };
        reports.push(NetworkReport {
            network,
            kinds: BTreeSet::new(),
            outputs,
        });
    }
    Ok(reports)
}

/// A size up to `largest`, log-uniform over the whole range or, with `upper`, over its upper half.
fn spread(random: &mut Random, largest: usize, upper: bool) -> usize {
    let all = largest.ilog2() as usize + 1;
    let lowest = if upper { all / 2 } else { 0 };
    let bits = lowest + random.below(all - lowest);
    ((1 << bits) + random.below(1 << bits)).min(largest)
}

/// A network and its plan; `None` if it is too large or invalid.
fn draw(random: &mut Random) -> Option<(String, Plan)> {
    // The dimension that may be large: batch, height, width, channels, filter, features, classes.
    let large = random.below(7);
    let mut size = |place: usize, small: usize, largest: usize| match place == large {
        true => spread(random, largest, true),
        false => spread(random, small, false),
    };
    let batch_size = size(0, 12, 1 << 18);
    let (height, width) = (size(1, 40, 1 << 20), size(2, 40, 1 << 20));
    let channels = [size(3, 6, 1 << 16), size(3, 12, 1 << 12)];
    let kernel = (size(4, 5, 400), size(4, 5, 400));
    let (features, classes) = (size(5, 100, 1 << 22), size(6, 12, 256));
    let window = |(height, width): (usize, usize)| (height.min(1 << 9), width.min(1 << 9));

    let mut sample = vec![channels[0], height, width];
    let mut model = Sequential::new();
    let convolutions = random.below(3);
    let mut from = channels[0];
    for _ in 0..convolutions {
        let groups = groups(random, from);
        // A multiple of the groups, with which the convolution may be depthwise.
        let to = channels[1].next_multiple_of(groups);
        let layer = Conv2d::new(from, to, kernel)
            .dilation(random.size(3))
            .groups(groups);
        let layer = padded(random, layer, window(kernel));
        model = model.then(normalised(random, layer, to));
        model = activated(random, model);
        from = to;
        if random.below(4) == 0 {
            model = model.with(residual(random, to)).with(ReLU);
        }
        if random.below(4) == 0 {
            model = model.with(transposed(random, to)).with(ReLU);
        }
        if random.below(8) == 0 {
            let (block, channels) = dense(random, to);
            (model, from) = (model.with(block), channels);
        }
        if random.below(8) == 0 {
            model = model.with(upsample(random));
        }
        model = match random.below(12) {
            0 => model.with(SqueezeExcitation::new(from, random.size(5))),
            1 => model.with(Softmax),
            _ => model,
        };
        model = match random.below(6) {
            0 => model.with(
                AvgPool2d::new(random.size(3))
                    .stride(random.size(3))
                    .count_padding(random.flag()),
            ),
            1 => model.with(AdaptiveAvgPool2d::new((random.size(9), random.size(30)))),
            2..4 => model.with(MaxPool2d::new(random.below(3) + 1).stride(random.below(3) + 1)),
            _ => model,
        };
    }
    match convolutions {
        0 => sample = vec![features],
        _ if random.below(4) == 0 => model = model.with(GlobalAvgPool2d),
        _ => model = model.with(Flatten),
    }
    if random.flag() {
        let hidden = spread(random, 300, false);
        model = model.with(Linear::new(hidden));
        if random.below(4) == 0 {
            model = model.with(LayerNorm::new([hidden]).affine(random.flag()));
        }
        model = activated(random, model);
    }
    if random.below(4) == 0 {
        model = model.with(Dropout::new(0.25));
    }
    model = model.with(Linear::new(classes));
    let losses = [Loss::CrossEntropy, Loss::Mse(Reduction::Mean)];
    let training = Training::new(
        crate::shape::Shape::new(sample.clone()),
        losses[random.below(2)].clone(),
        optimizer(random),
    )
    .batch_size(batch_size)
    .dataset(batch_size + random.below(9))
    .accumulate(random.flag());
    let training = limited(random, training);
    let (plan, way) = lower(&model, &training, random)?;
    let network = format!("{model} on {:?}, batch {batch_size}, {way}", sample);
    Some((network.replace('\n', "; "), plan))
}

/// A convolution to `channels`, perhaps with normalisation, perhaps without a bias.
fn normalised(random: &mut Random, layer: Conv2d, channels: usize) -> Sequential {
    let model = Sequential::new().with(layer.bias(random.flag()));
    match random.below(6) {
        0..3 => model.with(BatchNorm2d::new(channels)),
        3 => {
            let groups = [1, channels][random.below(2)];
            model.with(GroupNorm::new(groups, channels).affine(random.flag()))
        }
        _ => model,
    }
}

/// One group, one per channel, or another divisor of the channels.
pub(super) fn groups(random: &mut Random, channels: usize) -> usize {
    match random.below(6) {
        0 | 1 => channels,
        2 => {
            let most = random.size(channels);
            let divisors = (1..=most).rev();
            let mut divisors = divisors.filter(|&groups| channels.is_multiple_of(groups));
            divisors.next().unwrap_or(1)
        }
        _ => 1,
    }
}

/// A padding below `most`: the same on opposite sides, or not, or one that keeps the plane's size.
pub(super) fn padded(random: &mut Random, layer: Conv2d, most: (usize, usize)) -> Conv2d {
    let (top, left) = (random.below(most.0), random.below(most.1));
    match random.below(4) {
        0 => layer.padding_same(),
        1 => {
            let (bottom, right) = (random.below(most.0), random.below(most.1));
            layer.padding(Padding::sides(top, bottom, left, right))
        }
        _ => layer.padding((top, left)),
    }
}

/// A layer that keeps the plane's size or doubles it.
pub(super) fn transposed(random: &mut Random, channels: usize) -> ConvTranspose2d {
    let stride = random.below(2) + 1;
    ConvTranspose2d::new(channels, channels, 3)
        .stride(stride)
        .padding(1)
        .output_padding(stride - 1)
        .groups(groups(random, channels))
        .bias(random.flag())
}

/// ReLU, or any other activation.
pub(super) fn activated(random: &mut Random, model: Sequential) -> Sequential {
    match random.below(9) {
        0 => model.with(LeakyReLU::new(0.125)),
        1 => model.with(Sigmoid),
        2 => model.with(Tanh),
        3 => model.with(SiLU),
        4 => model.with(GELU::new()),
        5 => model.with(GELU::tanh()),
        _ => model.with(ReLU),
    }
}

/// A block that keeps the plane's size, or halves it and has a projection.
pub(super) fn residual(random: &mut Random, channels: usize) -> Residual {
    let (stride, projects) = [(1, false), (2, true)][random.below(2)];
    let layer = Conv2d::new(channels, channels, 3).stride(stride).padding(1);
    let block = Residual::new(normalised(random, layer, channels));
    if !projects {
        return block;
    }
    let layer = Conv2d::new(channels, channels, 1).stride(stride);
    block.projection(normalised(random, layer, channels))
}

/// The input and new channels beside it, and the number of channels of both.
pub(super) fn dense(random: &mut Random, channels: usize) -> (Concat, usize) {
    let grown = random.size(5);
    let layer = Conv2d::new(channels, grown, 3).padding(1);
    let block = Concat::new().branch(Sequential::new());
    (
        block.branch(normalised(random, layer, grown)),
        channels + grown,
    )
}

fn upsample(random: &mut Random) -> Upsample {
    let size = (random.size(3), random.size(3));
    let layer = match random.flag() {
        true => Upsample::by(size),
        false => Upsample::to((7 * size.0, 5 * size.1)),
    };
    if random.flag() {
        layer.bilinear()
    } else {
        layer
    }
}

pub(super) fn optimizer(random: &mut Random) -> Optimizer {
    match random.below(8) {
        5 => RmsProp::new(0.001).weight_decay(0.25).into(),
        6 => RmsProp::new(0.001).centered().momentum(0.5).into(),
        7 => Lion::new(0.001)
            .weight_decay(0.25)
            .decay_weights_only()
            .into(),
        0 => Adam::new(0.001).into(),
        1 => Adam::decoupled(0.001).decay_weights_only().into(),
        2 => Sgd::new(0.0625).into(),
        3 => Sgd::new(0.0625).momentum(0.5).nesterov().into(),
        _ => Sgd::new(0.0625).momentum(0.5).into(),
    }
}

/// Perhaps with clipped gradients or averaged parameters.
pub(super) fn limited(random: &mut Random, training: Training) -> Training {
    match random.below(8) {
        0 => training.clipping(Clipping::new().norm(0.125)),
        1 => training.clipping(Clipping::new().value(0.0625).norm(64.0)),
        2 => training.averaging(0.75),
        _ => training,
    }
}

/// The readable plan, or a fast one with a random kernel for each product; and its name.
pub(super) fn lower(
    model: &Sequential,
    training: &Training,
    random: &mut Random,
) -> Option<(Plan, String)> {
    let kernel = [None, Some(0), Some(1), Some(2), Some(3)][random.below(5)];
    let kernel = kernel.map(|at: usize| Strategy::OF_CONVOLUTION[at]);
    let graph = Graph::training(model, training).ok()?;
    let readable = graph.readable().ok()?;
    if !is_affordable(&readable) {
        return None;
    }
    let Some(kernel) = kernel else {
        return Some((readable, "readable".to_owned()));
    };
    let chosen = random.word() as usize;
    let mut strategies = graph.all_by(kernel);
    if chosen.is_multiple_of(2) {
        strategies.extend(graph.all_by(Strategy::Joined));
    }
    let mut plan = graph.fast(&strategies).ok()?;
    plan.replace_ops(|op| {
        let mut variants = op.variants();
        let at = chosen.checked_rem(variants.len())?;
        Some(variants.swap_remove(at).op)
    });
    is_affordable(&plan).then(|| (plan, format!("fused, {kernel}")))
}

fn is_affordable(plan: &Plan) -> bool {
    let flop = plan.nodes().iter().map(|node| node.op.cost().flop);
    flop.fold(0u64, u64::saturating_add) <= MOST_FLOP && plan.words() <= MOST_WORDS
}
