//! The networks of `nn::models`: their sizes, their steps op by op, and that they learn.

use crate::common;
use wgrad::data::{Array, Arrays, Data, Target, Values};
use wgrad::executor::Executor;
use wgrad::graph::Graph;
use wgrad::nn::models::{
    ResNet, UNet, autoencoder, compact, depthwise, larger, lenet5, tutorial, vgg,
};
use wgrad::nn::{Module, Training};
use wgrad::ops::Step;
use wgrad::plan::{Element, Phase, Port, Role};
use wgrad::tune::Effort;
use wgrad::verify::lockstep;
use wgrad::{
    Adam, Config, ConfusionMatrix, Device, Loss, Planning, Reduction, Sgd, Split, Trainer,
};

const DIGITS: [usize; 3] = [1, 28, 28];
const CIFAR: [usize; 3] = [3, 32, 32];

/// The shape of a sample, the model, and the number of its parameters as the documentation has it.
fn classifiers() -> Vec<([usize; 3], Box<dyn Module>, usize)> {
    vec![
        (DIGITS, Box::new(tutorial(1)), 22_034),
        (DIGITS, Box::new(lenet5(1, 10)), 61_706),
        (DIGITS, Box::new(compact(1, 10)), 50_282),
        (DIGITS, Box::new(larger(1)), 421_642),
        (DIGITS, Box::new(vgg(1, 10, 0.3)), 288_170),
        (CIFAR, Box::new(ResNet::eight(3, 10)), 78_042),
        (CIFAR, Box::new(ResNet::twenty(3, 10)), 272_474),
        (CIFAR, Box::new(ResNet::eighteen(3, 10)), 11_173_962),
        (CIFAR, Box::new(depthwise(3, 10)), 136_778),
    ]
}

fn parameters(graph: &Graph) -> usize {
    let plan = graph.readable().unwrap();
    plan.parameters()
        .map(|(_, tensor)| tensor.shape.elements())
        .sum()
}

#[test]
fn models_have_the_sizes_that_their_table_says() {
    for (sample, model, expected) in classifiers() {
        let training = Training::new(sample, Loss::CrossEntropy, Sgd::new(0.1)).batch_size(2);
        let graph = Graph::training(model.as_ref(), &training).unwrap();
        assert_eq!(parameters(&graph), expected, "{}", model.describe());
    }
    let graph = Graph::inference(&autoencoder(1), DIGITS, 2).unwrap();
    assert_eq!(parameters(&graph), 9_569);
    assert_eq!(graph.value(graph.logits()).shape.dims(), [2, 1, 28, 28]);
    let graph = Graph::inference(&UNet::new(3, 16, 2), CIFAR, 2).unwrap();
    assert_eq!(parameters(&graph), 117_378);
    assert_eq!(graph.value(graph.logits()).shape.dims(), [2, 2, 32, 32]);
}

/// A training step of small images, op by op, by the readable and by the fast plan.
#[test]
fn steps_of_the_models_in_lockstep() {
    let Some(device) = common::gpu() else { return };
    let classes = |shape: &[usize]| Target::Classes(Array::new(shape, Element::U8), 3);
    let subjects: Vec<(Box<dyn Module>, Loss, Target)> = vec![
        (Box::new(vgg(2, 3, 0.2)), Loss::CrossEntropy, classes(&[])),
        (Box::new(depthwise(2, 3)), Loss::CrossEntropy, classes(&[])),
        (
            Box::new(autoencoder(2)),
            Loss::Mse(Reduction::Mean),
            Target::Input,
        ),
        (
            Box::new(UNet::new(2, 3, 3)),
            Loss::CrossEntropy,
            classes(&[8, 12]),
        ),
    ];
    for (model, loss, target) in subjects {
        let training = Training::new([2, 8, 12], loss, Adam::new(0.01))
            .batch_size(3)
            .target(target);
        let graph = Graph::training(model.as_ref(), &training).unwrap();
        for plan in [graph.readable(), graph.fast(&Default::default())] {
            let reports = wgrad::block_on(async {
                let mut executor = device.load(plan.unwrap()).await.unwrap();
                executor.initialise(1).unwrap();
                let plan = executor.plan().clone();
                for (id, tensor) in plan.tensors_of(Role::Input) {
                    let len = tensor.shape.elements();
                    let words: Vec<u32> = match tensor.element {
                        Element::F32 => (0..len)
                            .map(|i| (i as f32 / len as f32).to_bits())
                            .collect(),
                        Element::U32 | Element::U8 => (0..len as u32).map(|i| i % 3).collect(),
                    };
                    executor.write_words(id, &words).unwrap();
                }
                assert!(plan.port(Port::Images).is_ok());
                let Executor::Gpu(gpu) = &mut executor else {
                    panic!("the device is no adapter");
                };
                let phases = [
                    Phase::Forward,
                    Phase::Infer,
                    Phase::Loss,
                    Phase::Backward,
                    Phase::Update,
                ];
                lockstep(gpu, &phases, &Step::new(0, 3, 0, 0.01))
                    .await
                    .unwrap()
            });
            for report in reports {
                assert!(report.passes(), "{}: {report:?}", model.describe());
            }
        }
    }
}

fn config(loss: Loss) -> Config {
    Config::new(loss, Adam::new(0.01))
        .batch_size(8)
        .planning(Planning::Fused(Effort::Off))
}

/// Bright squares on noise, and the class of each pixel.
fn squares(count: usize) -> Arrays {
    let (side, area) = (16, 256);
    let pixel = |at: usize| {
        let (sample, y, x) = (at / area, at % area / side, at % side);
        let within = |v: usize, first: usize| (first..first + 5).contains(&v);
        within(y, sample * 3 % 11) && within(x, sample * 7 % 11)
    };
    let noise = |at: usize| (at * 7919 % 97) as u8;
    let images = (0..count * area).map(|at| noise(at) + if pixel(at) { 120 } else { 0 });
    let labels = (0..count * area).map(|at| u8::from(pixel(at)));
    let images = Arrays::new([1, side, side], Values::Bytes(images.collect())).unwrap();
    images
        .classes([side, side], Values::Bytes(labels.collect()), 2)
        .unwrap()
}

#[test]
fn a_unet_learns_to_segment() {
    let data = Data::new(squares(96)).test(squares(32));
    wgrad::block_on(async {
        let device = Device::cpu();
        let model = UNet::new(1, 4, 2);
        let config = config(Loss::CrossEntropy);
        let mut trainer = Trainer::new(&device, &model, &data, config).await.unwrap();
        for _ in 0..6 {
            trainer.train_epoch(|_| {}).await.unwrap();
        }
        let mut matrix = ConfusionMatrix::new(2).unwrap();
        trainer
            .measure(Split::Test, &mut [&mut matrix])
            .await
            .unwrap();
        assert!(matrix.mean_iou() > 0.9, "{}", matrix.mean_iou());
    });
}

#[test]
fn an_autoencoder_learns_its_images() {
    let images = squares(96);
    let mut inputs = vec![0; 96 * 256];
    let samples: Vec<u32> = (0..96).collect();
    wgrad::data::Source::read(&images, &samples, &mut inputs, &mut vec![0; 96 * 256]).unwrap();
    let data = Data::new(Arrays::new([1, 16, 16], Values::Bytes(inputs)).unwrap());
    wgrad::block_on(async {
        let device = Device::cpu();
        let config = config(Loss::Mse(Reduction::Mean));
        let mut trainer = Trainer::new(&device, &autoencoder(1), &data, config)
            .await
            .unwrap();
        let before = trainer.evaluate(Split::Train).await.unwrap().loss;
        for _ in 0..15 {
            trainer.train_epoch(|_| {}).await.unwrap();
        }
        let after = trainer.evaluate(Split::Train).await.unwrap().loss;
        assert!(after < 0.4 * before, "{before}, then {after}");
    });
}
