//! Inference, prediction, and what is counted of it.

use super::graphs::training;
use crate::common;
use wgrad::data::{Dataset, Samples};
use wgrad::graph::{Graph, Module, Var, Weights};
use wgrad::nn::{BatchNorm2d, Conv2d, Flatten, Linear, ReLU, Sequential};
use wgrad::{Config, ConfusionMatrix, Device, Loss, Predictor, Session, Sgd, Trainer, block_on};

/// A convolution with its batch norm, and three classes.
fn normed() -> Sequential {
    Sequential::new()
        .with(Conv2d::new(1, 2, 3).bias(false))
        .with(BatchNorm2d::new(2))
        .with(ReLU)
        .with(Flatten)
        .with(Linear::new(3))
}

/// Evaluation normalises by the running statistics, so the rows of a batch are independent.
#[test]
fn inference_differs_from_training() {
    block_on(async {
        for device in [Some(Device::cpu()), common::gpu()].into_iter().flatten() {
            let model = normed();
            let training = training([1, 4, 4], 4);
            let mut session = Session::new(&device, &model, &training, 0).await.unwrap();
            let images: Vec<f32> = (0..64).map(|i| (i * i % 17) as f32 / 17.0).collect();
            session.set_batch(&images, &[0, 1, 2, 0]).unwrap();
            session.infer().unwrap();
            let four = session.read("logits").await.unwrap();
            session.forward().unwrap();
            assert_ne!(session.read("logits").await.unwrap(), four);
            session.write("1.running_mean", &[0.0; 2]).unwrap();
            session.write("1.running_var", &[1.0; 2]).unwrap();
            session.set_batch(&images[16..32], &[1]).unwrap();
            session.infer().unwrap();
            assert_eq!(
                session.read("logits").await.unwrap()[..3],
                four[3..6],
                "{device}"
            );
        }
    });
}

/// One batch norm after each of two convolutions.
#[derive(Debug)]
struct SharedNorm(Conv2d, Conv2d, BatchNorm2d, Linear);

impl Module for SharedNorm {
    fn forward<'g>(&self, x: Var<'g>) -> wgrad::Result<Var<'g>> {
        let y = x.apply("conv1", &self.0)?.apply("bn", &self.2)?;
        let y = y.apply("conv2", &self.1)?.apply_again("bn", &self.2)?;
        y.apply("flatten", &Flatten)?.apply("fc", &self.3)
    }
}

#[test]
fn a_norm_that_is_applied_twice_is_not_folded() {
    let conv = || Conv2d::new(2, 2, 1).bias(false);
    let model = SharedNorm(conv(), conv(), BatchNorm2d::new(2), Linear::new(3));
    let graph = Graph::inference(&model, [2, 3, 3], 1).unwrap();
    let of_model = |&id: &_| graph.value(id).source.is_of_model();
    let weights = graph.values().filter(of_model).map(|id| {
        let value = graph.value(id);
        let ones = vec![1.0; value.shape.elements()];
        (value.name.clone(), (value.shape.clone(), ones))
    });
    let mut weights: Weights = weights.collect();
    let folded = graph.fold(&mut weights).unwrap();
    assert_eq!(folded.to_string(), graph.to_string());
}

/// NaN is no class, and no probability.
#[test]
fn predictions_that_are_not_finite_are_refused() {
    block_on(async {
        let model = Sequential::new().with(Linear::new(3));
        let config = Config::new(Loss::CrossEntropy, Sgd::new(0.1));
        let samples = Samples {
            images: vec![1, 2, 3, 4],
            labels: vec![0, 1],
        };
        let data = Dataset::new([2], 3, samples.clone(), samples).unwrap();
        let device = Device::cpu();
        let trainer = Trainer::new(&device, &model, &data, config).await.unwrap();
        let checkpoint = trainer.checkpoint().await.unwrap();
        let mut predictor = Predictor::from_checkpoint(&device, &checkpoint).unwrap();
        let images = [0.5, 0.5, f32::NAN, 0.5];
        assert!(predictor.logits(&images).await.unwrap()[3].is_nan());
        let refused = "logits of image 1: expected finite numbers, got NaN";
        let classes = predictor.classes(&images).await.unwrap_err();
        assert_eq!(classes.to_string(), refused);
        let probabilities = predictor.probabilities(&images).await.unwrap_err();
        assert_eq!(probabilities.to_string(), refused);
    });
}

#[test]
fn confusion_matrices_of_no_classes_are_refused() {
    for classes in [0, 1 << 31, usize::MAX] {
        let error = ConfusionMatrix::of(&[], &[], classes).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("classes: expected 1 to 4096, got {classes}")
        );
    }
    let matrix = ConfusionMatrix::of(&[1], &[0], 2).unwrap();
    assert_eq!(
        [(1, 0), (0, 2), (2, 2)].map(|(l, p)| matrix.count(l, p)),
        [1, 0, 0]
    );
}

/// The part of a graph until a value gives what the whole computes there.
#[test]
fn parts_of_a_graph_give_the_values_between_layers() {
    block_on(async {
        let model = normed();
        let samples = Samples {
            images: (0..64).map(|at| (at * at % 251) as u8).collect(),
            labels: vec![0, 1, 2, 0],
        };
        let data = Dataset::new([1, 4, 4], 3, samples.clone(), samples).unwrap();
        let config = Config::new(Loss::CrossEntropy, Sgd::new(0.1)).batch_size(4);
        for device in [Some(Device::cpu()), common::gpu()].into_iter().flatten() {
            let mut trainer = Trainer::new(&device, &model, &data, config.clone())
                .await
                .unwrap();
            trainer.train_epoch(|_| {}).await.unwrap();
            let checkpoint = trainer.checkpoint().await.unwrap();
            let graph = checkpoint.graph().unwrap();
            let image: Vec<f32> = (0..16).map(|at| at as f32 / 16.0).collect();
            let mut values = Vec::new();
            for node in graph.nodes() {
                let part = graph.until(graph.node(node).output).unwrap();
                let predictor = Predictor::from_graph(&device, &part, &checkpoint);
                let mut predictor = predictor.unwrap();
                assert_eq!(
                    predictor.output().dims(),
                    &part.value(part.logits()).shape.dims()[1..]
                );
                values.push(predictor.logits(&image).await.unwrap());
            }
            let [convolved, normed, rectified, flat, logits] = &values[..] else {
                panic!("{graph}");
            };
            assert_eq!(convolved.len(), 2 * 2 * 2);
            assert_ne!(convolved, normed);
            let positive: Vec<f32> = normed.iter().map(|value| value.max(0.0)).collect();
            assert_eq!(*rectified, positive);
            assert!(rectified.iter().any(|&value| value > 0.0));
            assert_eq!(flat, rectified);
            let whole = Predictor::from_checkpoint(&device, &checkpoint);
            assert_eq!(*logits, whole.unwrap().logits(&image).await.unwrap());
        }
    });
}

#[test]
fn a_part_without_images_is_refused() {
    let model = Sequential::new().with(Linear::new(3));
    let graph = Graph::inference(&model, [2], 1).unwrap();
    for value in graph.values().filter(|&id| graph.writer(id).is_none()) {
        let error = graph.until(value).unwrap_err().to_string();
        let name = &graph.value(value).name;
        let expected = format!("model: expected a value computed from images, got {name}");
        assert_eq!(error, expected);
    }
}
