//! Losses against targets of every kind: on the adapter as on the reference, against PyTorch's
//! definition by hand, and from data sets of every element.

use super::checkpoints::devices;
use crate::common;
use wgrad::data::{Array, Data, Source, Target};
use wgrad::executor::Executor;
use wgrad::graph::Graph;
use wgrad::nn::{Conv2d, Flatten, Linear, Module, ReLU, Sequential, Training};
use wgrad::ops::Step;
use wgrad::plan::{Element, Phase, Plan, Port};
use wgrad::tune::Effort;
use wgrad::verify::{OutputReport, lockstep};
use wgrad::{
    Config, ConfusionMatrix, CrossEntropy, Device, Loss, MeanAbsoluteError, Metric, Planning,
    Reduction, Residency, Result, Session, Sgd, Split, TopK, Trainer,
};

const MEAN: Reduction = Reduction::Mean;

/// Arrays in memory.
#[derive(Debug, Clone)]
struct Arrays {
    input: Array,
    target: Target,
    inputs: Vec<u8>,
    targets: Vec<u8>,
}

impl Source for Arrays {
    fn len(&self) -> usize {
        self.inputs.len() / self.input.bytes()
    }
    fn input(&self) -> Array {
        self.input.clone()
    }
    fn target(&self) -> Target {
        self.target.clone()
    }
    fn read(&self, samples: &[u32], inputs: &mut [u8], targets: &mut [u8]) -> Result<()> {
        let copy = |from: &[u8], to: &mut [u8], len: usize| {
            for (&sample, to) in samples.iter().zip(to.chunks_mut(len)) {
                to.copy_from_slice(&from[sample as usize * len..][..len]);
            }
        };
        copy(&self.inputs, inputs, self.input.bytes());
        if let Some(array) = self.target.array() {
            copy(&self.targets, targets, array.bytes());
        }
        Ok(())
    }
}

/// `count` values of an array: classes below `below`, bytes, or floats from 0 to 1.
fn values(array: &Array, count: usize, below: Option<usize>, seed: u64) -> Vec<u8> {
    let mut generator = common::generator(seed);
    let mut draw = move || rand::RngExt::random::<u32>(&mut generator);
    let all = count * array.shape.elements();
    let class = |word: u32| word % below.unwrap_or(256) as u32;
    match array.element {
        Element::U8 => (0..all).map(|_| class(draw()) as u8).collect(),
        Element::U32 => (0..all).flat_map(|_| class(draw()).to_le_bytes()).collect(),
        Element::F32 => (0..all)
            .flat_map(|_| (draw() as f32 / u32::MAX as f32).to_le_bytes())
            .collect(),
    }
}

fn arrays(input: Array, target: Target, count: usize) -> Arrays {
    let below = match &target {
        Target::Classes(_, classes) => Some(*classes),
        _ => None,
    };
    let targets = target.array().map(|array| values(array, count, below, 2));
    Arrays {
        inputs: values(&input, count, None, 1),
        targets: targets.unwrap_or_default(),
        input,
        target,
    }
}

const SAMPLE: [usize; 3] = [2, 5, 4];

/// An output of the shape of `SAMPLE`, with three channels or two.
fn pixels(channels: usize) -> Sequential {
    Sequential::new()
        .with(Conv2d::new(2, 4, 3).padding(1))
        .with(ReLU)
        .with(Conv2d::new(4, channels, 1))
}

fn rows(columns: usize) -> Sequential {
    Sequential::new().with(Flatten).with(Linear::new(columns))
}

/// Models with losses and targets that fit them.
fn subjects() -> Vec<(Sequential, Loss, Target)> {
    let numbers = |shape: &[usize], element| Target::Numbers(Array::new(shape, element));
    let classes =
        |shape: &[usize], element, count| Target::Classes(Array::new(shape, element), count);
    let smooth = CrossEntropy::new().label_smoothing(0.1);
    let weighted = smooth.clone().class_weights([0.5, 2.0, 1.0]);
    vec![
        (rows(3), Loss::CrossEntropy, classes(&[], Element::U32, 3)),
        (rows(3), smooth.into(), classes(&[], Element::U8, 3)),
        (
            rows(3),
            weighted.clone().into(),
            classes(&[], Element::U8, 3),
        ),
        (rows(3), Loss::CrossEntropy, numbers(&[3], Element::F32)),
        (rows(3), weighted.clone().into(), numbers(&[3], Element::U8)),
        (
            pixels(3),
            Loss::CrossEntropy,
            classes(&[5, 4], Element::U8, 3),
        ),
        (pixels(3), weighted.into(), classes(&[5, 4], Element::U8, 3)),
        (pixels(2), Loss::Mse(MEAN), Target::Input),
        (pixels(2), Loss::L1(Reduction::BatchMean), Target::Input),
        (rows(6), Loss::Huber(0.5, MEAN), numbers(&[6], Element::F32)),
        (
            rows(6),
            Loss::Mse(Reduction::BatchMean),
            numbers(&[6], Element::F32),
        ),
        (
            rows(6),
            Loss::BinaryCrossEntropy(MEAN),
            numbers(&[6], Element::U8),
        ),
        (pixels(3), Loss::L1(MEAN), numbers(&[3, 5, 4], Element::F32)),
    ]
}

fn training(loss: &Loss, target: &Target) -> Training {
    Training::new(SAMPLE, loss.clone(), Sgd::new(0.05))
        .batch_size(4)
        .target(target.clone())
}

#[test]
fn every_loss_and_target_in_lockstep() {
    let Some(device) = common::gpu() else { return };
    for (model, loss, target) in subjects() {
        for stored in [Element::U8, Element::F32] {
            let training = training(&loss, &target).dataset(9).stored(stored);
            let graph = Graph::training(&model, &training).unwrap();
            let source = arrays(Array::new(SAMPLE, stored), target.clone(), 9);
            for plan in [graph.readable(), graph.fast(&Default::default())] {
                let loading = in_lockstep(&device, plan.unwrap(), &source);
                for report in wgrad::block_on(loading) {
                    assert!(report.passes(), "{loss}, {target}: {report:?}");
                }
            }
        }
    }
}

/// A whole and a partial batch of training, op by op.
async fn in_lockstep(device: &Device, plan: Plan, source: &Arrays) -> Vec<OutputReport> {
    let mut executor = device.load(plan).await.unwrap();
    executor.initialise(1).unwrap();
    let plan = executor.plan().clone();
    let padded = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytemuck::pod_collect_to_vec::<u8, u32>(&bytes)
    };
    for (port, words) in [
        (Port::DatasetImages, padded(&source.inputs)),
        (Port::DatasetTargets, padded(&source.targets)),
        (Port::Order, vec![3, 1, 8, 0, 2, 4, 7, 6, 5]),
    ] {
        if let Ok(tensor) = plan.port(port) {
            executor.write_words(tensor, &words).unwrap();
        }
    }
    let Executor::Gpu(gpu) = &mut executor else {
        panic!("the device is no adapter");
    };
    let mut reports = Vec::new();
    for step in [Step::new(0, 4, 0, 0.05), Step::new(4, 3, 1, 0.05)] {
        reports.extend(lockstep(gpu, &Phase::TRAIN, &step).await.unwrap());
    }
    reports
}

/// The readable and the fast plan, resident and streamed, agree with the phases of a session.
#[test]
fn a_trainer_takes_targets_of_every_kind() {
    for device in devices() {
        for (model, loss, target) in subjects() {
            let source = arrays(Array::new(SAMPLE, Element::U8), target.clone(), 30);
            let data = Data::new(source.clone()).test(source);
            wgrad::block_on(async {
                let mut losses = Vec::new();
                for planning in [Planning::Unfused, Planning::Fused(Effort::Off)] {
                    for residency in [Residency::Device, Residency::Streamed] {
                        let config = Config::new(loss.clone(), Sgd::new(0.05))
                            .batch_size(7)
                            .planning(planning.clone())
                            .residency(residency);
                        let mut trainer =
                            Trainer::new(&device, &model, &data, config).await.unwrap();
                        let before = trainer.evaluate(Split::Test).await.unwrap();
                        trainer.train_epoch(|_| {}).await.unwrap();
                        trainer.train_epoch(|_| {}).await.unwrap();
                        let after = trainer.evaluate(Split::Test).await.unwrap();
                        assert!(after.loss < before.loss, "{loss}, {target}: {after:?}");
                        measures_agree(&mut trainer, &loss, &target, &after).await;
                        losses.push(after.loss);
                    }
                }
                let close = |loss: &f64| (loss - losses[0]).abs() < 1e-4 * losses[0];
                assert!(
                    losses.iter().all(close),
                    "{device}, {loss}, {target}: {losses:?}"
                );
            });
        }
    }
}

/// The metrics of the host agree with those of the device.
async fn measures_agree(
    trainer: &mut Trainer,
    loss: &Loss,
    target: &Target,
    report: &wgrad::EpochReport,
) {
    if let Target::Classes(_, classes) = target {
        let mut matrix = ConfusionMatrix::new(*classes).unwrap();
        let mut top = TopK::new(1);
        let mut all = TopK::new(*classes);
        let metrics: &mut [&mut dyn Metric] = &mut [&mut matrix, &mut top, &mut all];
        trainer.measure(Split::Test, metrics).await.unwrap();
        assert!((matrix.accuracy() - report.accuracy).abs() < 1e-9, "{loss}");
        assert!((top.value() - report.accuracy).abs() < 1e-9, "{loss}");
        assert_eq!(all.value(), 1.0);
        return;
    }
    let mut error = MeanAbsoluteError::default();
    trainer
        .measure(Split::Test, &mut [&mut error])
        .await
        .unwrap();
    if let Loss::L1(_) = loss {
        assert!(
            (error.value() - report.loss).abs() < 1e-5,
            "{loss}: {error:?}, {report:?}"
        );
    }
    let counts = matches!(
        loss,
        Loss::BinaryCrossEntropy(_) | Loss::CrossEntropy | Loss::CrossEntropyWith(_)
    );
    assert_eq!(report.accuracy.is_nan(), !counts, "{loss}: {report:?}");
    let classes = trainer.classes(Split::Test).await.unwrap_err();
    assert!(
        classes.to_string().starts_with("classes: expected targets"),
        "{classes}"
    );
}

/// By hand, as PyTorch defines them.
#[test]
fn losses_of_a_session_by_hand() {
    let model = Sequential::new().with(Linear::new(2).bias(false));
    let loss_of = |loss: Loss, target: Target, images: &[f32], targets: &[f32], labels: &[u32]| {
        wgrad::block_on(async {
            let training = Training::new([2], loss, Sgd::new(0.1))
                .batch_size(3)
                .target(target);
            let mut session = Session::new(&Device::cpu(), &model, &training, 0)
                .await
                .unwrap();
            session.write("0.weight", &[1.0, 0.0, 0.0, 1.0]).unwrap();
            match labels {
                [] => session.set_numbers(images, targets).unwrap(),
                labels => session.set_batch(images, labels).unwrap(),
            }
            session.forward().unwrap();
            session.loss().await.unwrap()
        })
    };
    let numbers = || Target::Numbers(Array::new([2], Element::F32));
    let images = [1.0, -2.0, 0.5, 0.0];
    let targets = [0.0, 0.0, 0.5, 3.0];
    // Errors: 1, 2, 0, 3.
    let by = |loss| loss_of(loss, numbers(), &images, &targets, &[]);
    assert_eq!(by(Loss::Mse(MEAN)), 14.0 / 4.0);
    assert_eq!(by(Loss::Mse(Reduction::BatchMean)), 14.0 / 2.0);
    assert_eq!(by(Loss::L1(MEAN)), 6.0 / 4.0);
    assert_eq!(by(Loss::Huber(2.0, MEAN)), (0.5 + 2.0 + 0.0 + 4.0) / 4.0);
    let labels = |loss: Loss| loss_of(loss, Target::class(2), &images, &[], &[0, 1]);
    let softmax = |a: f64, b: f64| (a.exp() + b.exp()).ln() - a;
    let (first, second) = (softmax(1.0, -2.0), softmax(0.0, 0.5));
    let weighted = CrossEntropy::new().class_weights([0.5, 2.0]);
    let expected = (0.5 * first + 2.0 * second) / 2.0;
    assert!((labels(weighted.into()) - expected).abs() < 1e-6);
    let (other_first, other_second) = (softmax(-2.0, 1.0), softmax(0.5, 0.0));
    let smooth = |own: f64, other: f64| 0.9 * own + 0.05 * (own + other);
    let expected = (smooth(first, other_first) + smooth(second, other_second)) / 2.0;
    assert!((labels(CrossEntropy::new().label_smoothing(0.1).into()) - expected).abs() < 1e-6);
}

#[test]
fn targets_that_do_not_fit_are_refused() {
    let error = |model: &dyn Module, loss: Loss, target: Target| {
        let training = training(&loss, &target);
        Graph::training(model, &training).unwrap_err().to_string()
    };
    let numbers = |shape: &[usize]| Target::Numbers(Array::new(shape, Element::F32));
    let text = error(&rows(3), Loss::L1(MEAN), Target::class(3));
    assert_eq!(
        text,
        "target of the loss L1 (mean over all elements), output (4, 3): expected numbers, got 3 classes, ()"
    );
    let text = error(&rows(3), Loss::Mse(MEAN), numbers(&[4]));
    assert!(
        text.contains("expected an array of the output's shape, got numbers, (4)"),
        "{text}"
    );
    let text = error(&rows(3), Loss::CrossEntropy, Target::class(4));
    assert_eq!(
        text,
        "logits: expected (4, 4), a column for each class, got (4, 3)"
    );
    let text = error(&pixels(3), Loss::Mse(MEAN), Target::Input);
    assert!(
        text.contains("expected an output of the input's shape"),
        "{text}"
    );
    let text = error(&pixels(3), Loss::CrossEntropy, Target::class(3));
    assert!(text.contains("a column for each class"), "{text}");
    let text = error(&rows(3), Loss::Huber(0.0, MEAN), numbers(&[3]));
    assert!(text.starts_with("Huber's delta"), "{text}");
    let weights = CrossEntropy::new().class_weights([1.0, 2.0]);
    let text = error(&rows(3), weights.into(), Target::class(3));
    assert_eq!(text, "class weights: expected 3, one for each class, got 2");
    let text = error(
        &rows(3),
        CrossEntropy::new().label_smoothing(1.5).into(),
        Target::class(3),
    );
    assert!(
        text.starts_with("label smoothing: expected 0 to 1"),
        "{text}"
    );
    let training = Training::new(SAMPLE, Loss::CrossEntropy, Sgd::new(0.1));
    let text = Graph::training(&pixels(3), &training)
        .unwrap_err()
        .to_string();
    assert!(text.contains("expected logits (N, classes)"), "{text}");
}
