//! Random networks of many layers on small planes: whole training steps in lockstep.

use std::collections::BTreeSet;

use super::compare::{lockstep, on_gpu};
use super::layers::{FEATURES, Kind, PLANES, flattened, one};
use super::networks::{limited, lower, optimizer};
use super::report::disturb;
use super::{NetworkReport, OutputReport, lanes};
use crate::augment::Augmentation;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::executor::Executor;
use crate::graph::Graph;
use crate::loss::{CrossEntropy, Loss, Reduction};
use crate::nn::{Conv2d, Linear, Normalize, Sequential, Training, Upsample};
use crate::ops::Step;
use crate::ops::case::{Floats, Random};
use crate::optim::Clipping;
use crate::plan::{Phase, Plan, Port};
use crate::shape::Shape;
use crate::target::{Array, Element, Target};

/// Maximum elements of a value for each sample, so that a network takes a fraction of a second.
const MOST_ELEMENTS: usize = 1000;

/// A random network, ready to run.
struct Long {
    text: String,
    /// The kinds of layers and the options of training that it has.
    kinds: BTreeSet<String>,
    training: Training,
    plan: Plan,
    samples: usize,
}

/// Draws `count` networks of at least `layers` layers each, of all kinds that there are, with any
/// loss, targets, optimizer and augmentation, and runs two training steps of each, and inference, op
/// by op. The same seed draws the same networks on every machine.
///
/// # Errors
/// The device is not an adapter, was lost or reported a fault. A wrong result is not an error but a
/// report.
pub async fn long_networks(
    device: &Device,
    seed: u64,
    count: usize,
    layers: usize,
) -> Result<Vec<NetworkReport>> {
    let parts = lanes::parts(device, drawn(seed, count, layers));
    let check = |part: Vec<Long>| async move {
        let mut reports = Vec::new();
        for long in part {
            let outputs = match check(device, &long, seed).await {
                Ok(outputs) => Ok(outputs),
                Err(error @ (Error::Limit { .. } | Error::Gpu { .. })) => Err(error.to_string()),
                Err(error) => return Err(error),
            };
            reports.push(NetworkReport {
                network: long.text,
                kinds: long.kinds,
                outputs,
            });
        }
        Ok(reports)
    };
    let reports = lanes::each(device, parts, check).await?;
    Ok(reports.into_iter().flatten().collect())
}

fn drawn(seed: u64, count: usize, layers: usize) -> Vec<Long> {
    let mut random = Random::new(seed, Floats::Hostile);
    let mut drawn = Vec::new();
    while drawn.len() < count {
        drawn.extend(draw(&mut random, layers));
    }
    drawn
}

/// The model under construction, and the shape of its output for each sample.
struct Growing {
    model: Sequential,
    shape: Vec<usize>,
    kinds: BTreeSet<String>,
}

impl Growing {
    /// Appends layers if they fit and their output is not too large.
    fn push(&mut self, kind: &str, layers: Sequential) {
        let Ok(graph) = Graph::inference(&layers, Shape::new(self.shape.clone()), 1) else {
            return;
        };
        let output = &graph.value(graph.logits()).shape;
        if output.elements() > MOST_ELEMENTS {
            return;
        }
        self.shape = output.dims()[1..].to_vec();
        self.kinds.insert(kind.to_owned());
        self.model = std::mem::take(&mut self.model).then(layers);
    }

    /// Appends layers of one of `kinds`, if they fit.
    fn grow<S>(&mut self, random: &mut Random, kinds: &[Kind<S>], shape: S) {
        let (kind, draw) = kinds[random.below(kinds.len())];
        self.push(kind, draw(random, shape));
    }
}

/// The shape of a sample, and a model of at least `layers` layers.
fn grown(random: &mut Random, layers: usize) -> (Vec<usize>, Growing) {
    let extents = |random: &mut Random| [random.size(4), 3 + random.below(9), 3 + random.below(9)];
    let sample = match random.below(8) {
        0 => vec![random.size(30)],
        _ => extents(random).to_vec(),
    };
    let mut growing = Growing {
        model: Sequential::new(),
        shape: sample.clone(),
        kinds: BTreeSet::new(),
    };
    if random.below(4) == 0 {
        let (means, deviations) = (vec![0.5; sample[0]], vec![0.25; sample[0]]);
        growing.push("normalisation", one(Normalize::new(means, deviations)));
    }
    let ends_in_planes = sample.len() == 3 && random.below(3) == 0;
    let of_features = if ends_in_planes {
        0
    } else {
        random.below(layers.div_ceil(2))
    };
    while let &[c, h, w] = &growing.shape[..] {
        if growing.model.len() + of_features >= layers {
            break;
        }
        growing.grow(random, &PLANES, [c, h, w]);
    }
    let classes = 2 + random.below(5);
    let channels = growing.shape[0];
    if ends_in_planes && random.flag() {
        let size = (sample[1], sample[2]);
        growing.push("nearest upsampling", one(Upsample::to(size)));
        growing.push("convolution", one(Conv2d::new(channels, sample[0], 1)));
    } else if ends_in_planes {
        growing.push("convolution", one(Conv2d::new(channels, classes, 1)));
    } else {
        if growing.shape.len() == 3 {
            let (kind, layers) = flattened(random);
            growing.push(kind, layers);
        }
        while growing.model.len() < layers {
            let features = growing.shape[0];
            growing.grow(random, &FEATURES, features);
        }
        growing.push("linear", one(Linear::new(classes)));
    }
    (sample, growing)
}

/// A network; `None` if it is invalid.
fn draw(random: &mut Random, layers: usize) -> Option<Long> {
    let (sample, growing) = grown(random, layers);
    let Growing {
        model,
        shape,
        mut kinds,
    } = growing;
    let batch_size = 1 + random.below(5);
    let samples = batch_size + random.below(9);
    let (kind, loss, target) = loss(random, &sample, &shape);
    kinds.insert(kind.to_owned());
    let optimizer = optimizer(random);
    kinds.extend(optimizer.to_string().split(',').next().map(str::to_owned));
    let stored = [Element::U8, Element::F32][random.below(2)];
    let training = Training::new(Shape::new(sample.clone()), loss, optimizer)
        .batch_size(batch_size)
        .dataset(samples)
        .stored(stored)
        .target(target)
        .accumulate(random.flag());
    let mut training = limited(random, training);
    if training.clipping != Clipping::new() {
        kinds.insert("clipping".to_owned());
    }
    if training.averaging.is_some() {
        kinds.insert("averaging".to_owned());
    }
    if random.below(3) == 0 {
        let changed = training.clone().augmentation(augmentation(random));
        // Only some targets stay right when images change.
        if Graph::training(&model, &changed).is_ok() {
            let mixes = changed.augmentation.mixing().is_some();
            kinds.insert(if mixes { "mixup" } else { "augmentation" }.to_owned());
            training = changed;
        }
    }
    let (plan, way) = lower(&model, &training, random)?;
    let text = format!(
        "{model} on {sample:?}, batch {batch_size}, {}, {}, {way}",
        training.loss, training.optimizer
    );
    Some(Long {
        text: text.replace('\n', "; "),
        kinds,
        training,
        plan,
        samples,
    })
}

/// A loss of outputs of shape `own`, and its targets.
fn loss(random: &mut Random, sample: &[usize], own: &[usize]) -> (&'static str, Loss, Target) {
    let classes = own[0];
    let element = [Element::U8, Element::U32][random.below(2)];
    let of_class = Target::Classes(Array::new(Shape::new(own[1..].to_vec()), element), classes);
    let element = [Element::U8, Element::F32][random.below(2)];
    let of_numbers = Target::Numbers(Array::new(Shape::new(own.to_vec()), element));
    let reduction = [Reduction::Mean, Reduction::BatchMean][random.below(2)];
    let weights: Vec<f32> = (0..classes).map(|class| 0.5 + class as f32).collect();
    let options = CrossEntropy::new()
        .label_smoothing(0.125)
        .class_weights(weights);
    let (of_input, reconstructs) = match own == sample {
        true => (Target::Input, true),
        false => (of_numbers.clone(), false),
    };
    let is_of_pixels = own.len() > 1;
    match random.below(8) {
        0 | 1 if is_of_pixels => ("cross-entropy of pixels", options.into(), of_class),
        0 => ("cross-entropy", Loss::CrossEntropy, of_class),
        1 => ("weighted cross-entropy", options.into(), of_class),
        2 => ("cross-entropy of probabilities", options.into(), of_numbers),
        3 if !is_of_pixels => ("MSE of classes", Loss::Mse(reduction), of_class),
        3 | 4 if reconstructs => ("MSE of the input", Loss::Mse(reduction), of_input),
        3 | 4 => ("MSE", Loss::Mse(reduction), of_input),
        5 => ("L1", Loss::L1(reduction), of_input),
        6 => ("Huber", Loss::Huber(0.5, reduction), of_input),
        _ => (
            "binary cross-entropy",
            Loss::BinaryCrossEntropy(reduction),
            of_numbers,
        ),
    }
}

fn augmentation(random: &mut Random) -> Augmentation {
    let all = Augmentation::new()
        .shift(random.below(3))
        .flip()
        .rotation(20.0)
        .scale(0.75, 1.25)
        .contrast(0.25)
        .brightness(0.125)
        .cutout(random.below(4))
        .fill(9);
    if random.flag() { all.mixup(0.5) } else { all }
}

/// A step of a part of a batch, one of a whole batch, and inference.
async fn check(device: &Device, long: &Long, seed: u64) -> Result<Vec<OutputReport>> {
    let none = || Error::value("verification", "an adapter", "the CPU reference");
    let adapter = device.adapter().ok_or_else(none)?;
    let mut plan = long.plan.clone();
    plan.replace_ops(|op| {
        let variants = op.variants().into_iter().map(|variant| variant.op);
        let mut run = variants.filter(|op| adapter.runs(op.as_ref()));
        if adapter.runs(op) { None } else { run.next() }
    });
    let mut executor = device.clone().without_spot_checks().load(plan).await?;
    executor.initialise(seed)?;
    let mut random = Random::new(seed, Floats::Hostile);
    write_dataset(&mut executor, long, &mut random)?;
    disturb(&mut executor, &mut random).await?;

    let Training {
        optimizer,
        augmentation,
        batch_size,
        ..
    } = &long.training;
    let mut phases = Phase::TRAIN.to_vec();
    phases.push(Phase::ZeroGrad);
    let whole = *batch_size as u32;
    let first = (long.samples - batch_size) as u32;
    let steps = [(first, whole.div_ceil(2)), (0, whole)];
    let mut outputs = Vec::new();
    for (number, (offset, rows)) in (0..).zip(steps) {
        let step = Step::new(offset, rows, number, optimizer.learning_rate())
            .at(0, number)
            .seed(seed)
            .scalars(optimizer.scalars(number.into()))
            .augmenting(augmentation.mix(seed, number.into()));
        outputs.extend(lockstep(on_gpu(&mut executor)?, &phases, &step).await?);
        if rows == whole {
            outputs.extend(lockstep(on_gpu(&mut executor)?, &[Phase::Infer], &step).await?);
        }
    }
    Ok(outputs)
}

/// Random samples, targets and order.
fn write_dataset(executor: &mut Executor, long: &Long, random: &mut Random) -> Result<()> {
    let plan = executor.plan().clone();
    let classes = match &long.training.target {
        Some(Target::Classes(_, classes)) => *classes,
        _ => 256,
    };
    for (port, below) in [(Port::DatasetImages, 256), (Port::DatasetTargets, classes)] {
        let Ok(id) = plan.port(port) else { continue };
        let tensor = plan.tensor(id);
        let words = (0..tensor.words()).map(|_| match tensor.element {
            Element::U8 => u32::from_le_bytes([(); 4].map(|()| random.below(below) as u8)),
            Element::U32 => random.below(below) as u32,
            Element::F32 => (random.below(256) as f32 / 255.0).to_bits(),
        });
        let words: Vec<u32> = words.collect();
        executor.write_words(id, &words)?;
    }
    let order = random.permutation(long.samples);
    executor.write_words(plan.port(Port::Order)?, &order)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the networks of a seed have together: every layer, loss, optimizer and option.
    #[test]
    fn every_kind_of_layer_and_option_is_drawn() {
        let networks = drawn(1, 100, 20);
        assert_eq!(networks.len(), 100);
        let drawn: BTreeSet<&str> = networks
            .iter()
            .flat_map(|network| &network.kinds)
            .map(|kind| &**kind)
            .collect();
        let planes = PLANES.iter().map(|(kind, _)| *kind);
        let kinds = planes.chain(FEATURES.iter().map(|(kind, _)| *kind));
        let others = [
            "normalisation",
            "global average pool",
            "flatten",
            "cross-entropy",
            "weighted cross-entropy",
            "cross-entropy of pixels",
            "cross-entropy of probabilities",
            "MSE of classes",
            "MSE of the input",
            "MSE",
            "L1",
            "Huber",
            "binary cross-entropy",
            "SGD",
            "Adam",
            "AdamW",
            "RMSprop",
            "Lion",
            "clipping",
            "averaging",
            "augmentation",
            "mixup",
        ];
        let expected: BTreeSet<&str> = kinds.chain(others).collect();
        assert_eq!(drawn, expected);
        for network in &networks {
            assert!(network.text.split("; ").count() >= 20, "{}", network.text);
        }
    }
}
