//! Models with branches and modes: recording, differentiating, and both plans.

use crate::common;
use wgrad::data::Dataset;
use wgrad::expand::Strategies;
use wgrad::graph::{Graph, Module, Training, Var};
use wgrad::nn::Linear;
use wgrad::nn::models::ResNet;
use wgrad::plan::Phase;
use wgrad::shape::Shape;
use wgrad::{Config, Device, Loss, Planning, Session, Sgd, Split, Trainer, block_on};

pub(super) fn training(sample: impl Into<Shape>, batch_size: usize) -> Training {
    Training::new(sample, Loss::CrossEntropy, Sgd::new(0.1)).batch_size(batch_size)
}

pub(super) fn resnet() -> ResNet {
    ResNet::new(3, 4, [3, 1], 10)
}

/// A value read three times and a layer applied twice: their gradients are sums, checked against
/// finite differences of the same function in plain code.
#[derive(Debug)]
struct Shared {
    twice: Linear,
}

impl Module for Shared {
    fn forward<'g>(&self, x: Var<'g>) -> wgrad::Result<Var<'g>> {
        let y = x.apply("twice", &self.twice)?.relu()?;
        let z = y.apply_again("twice", &self.twice)?;
        z.add(y)?.add(y)
    }
}

#[test]
fn gradients_of_values_read_twice_are_added() {
    block_on(async {
        let model = Shared {
            twice: Linear::new(2),
        };
        let training = training([2], 1);
        for device in [Some(Device::cpu()), common::gpu()].into_iter().flatten() {
            let mut session = Session::new(&device, &model, &training, 0).await.unwrap();
            let weight = [0.5f32, -0.25, 1.0, 0.75];
            let bias = [0.25f32, -0.5];
            session.write("twice.bias", &bias).unwrap();
            session.set_batch(&[1.0, 2.0], &[1]).unwrap();
            // The loss as a function of the weight, by definition.
            let loss = |weight: [f64; 4]| {
                let linear = |x: [f64; 2]| {
                    [
                        weight[0] * x[0] + weight[1] * x[1] + f64::from(bias[0]),
                        weight[2] * x[0] + weight[3] * x[1] + f64::from(bias[1]),
                    ]
                };
                let y = linear([1.0, 2.0]).map(|value| value.max(0.0));
                let z = linear(y);
                let logits = [z[0] + 2.0 * y[0], z[1] + 2.0 * y[1]];
                (logits[0].exp() + logits[1].exp()).ln() - logits[1]
            };
            session.write("twice.weight", &weight).unwrap();
            session.forward().unwrap();
            let exact = weight.map(f64::from);
            assert!((session.loss().await.unwrap() - loss(exact)).abs() < 1e-6);
            session.backward().unwrap();
            let found = session.read("twice.d_weight").await.unwrap();
            for (place, &found) in found.iter().enumerate() {
                let moved = |by: f64| {
                    let mut weight = exact;
                    weight[place] += by;
                    loss(weight)
                };
                let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!(
                    (f64::from(found) - expected).abs() < 1e-5,
                    "{device}: {found} {expected}"
                );
            }
        }
    });
}

pub(super) fn data(sample: [usize; 3], classes: usize) -> Dataset {
    let random = common::random_data(70, 30);
    let len: usize = sample.iter().product();
    let resized = |samples: &wgrad::data::Samples, count: usize| wgrad::data::Samples {
        images: samples
            .images
            .iter()
            .copied()
            .cycle()
            .take(count * len)
            .collect(),
        labels: samples
            .labels
            .iter()
            .map(|label| label % classes as u8)
            .take(count)
            .collect(),
    };
    Dataset::new(
        sample,
        classes,
        resized(&random.train, 70),
        resized(&random.test, 30),
    )
    .unwrap()
}

/// The fast plan has fewer ops, contains no readable ops, and trains to the same weights.
#[test]
fn both_plans_train_a_residual_network_alike() {
    let data = data([3, 8, 8], 10);
    let graph = Graph::training(&resnet(), &training([3, 8, 8], 2)).unwrap();
    let (readable, fast) = (
        graph.readable().unwrap(),
        graph.fast(&Strategies::new()).unwrap(),
    );
    let count = |plan: &wgrad::plan::Plan| plan.nodes_of(&Phase::TRAIN).count();
    println!("{} ops, {} fast", count(&readable), count(&fast));
    assert!(count(&fast) < count(&readable));
    assert_eq!(fast.written_readably(), [""; 0]);
    for device in [Some(Device::cpu()), common::gpu()].into_iter().flatten() {
        let mut weights = Vec::new();
        for planning in [Planning::Unfused, Planning::default()] {
            let config = Config::new(Loss::CrossEntropy, Sgd::new(0.02).momentum(0.9))
                .batch_size(16)
                .planning(planning);
            let checkpoint = block_on(async {
                let mut trainer = Trainer::new(&device, &resnet(), &data, config)
                    .await
                    .unwrap();
                trainer.train_epoch(|_| {}).await.unwrap();
                let report = trainer.evaluate(Split::Test).await.unwrap();
                println!("{device}: {:.6}", report.loss);
                trainer.checkpoint().await.unwrap()
            });
            assert_eq!(checkpoint.integers["bn1.num_batches_tracked"].1, [5]);
            weights.push(checkpoint.tensors);
        }
        for (name, (_, readable)) in &weights[0] {
            let largest = readable
                .iter()
                .fold(0f32, |largest, value| largest.max(value.abs()));
            for (a, b) in readable.iter().zip(&weights[1][name].1) {
                assert!((a - b).abs() <= 1e-3 * largest, "{device}, {name}: {a} {b}");
            }
        }
    }
}
