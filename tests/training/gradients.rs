//! Gradients of whole networks against central differences, both on the GPU, with each layer and each
//! of its options in the middle of a network, under every loss.
//!
//! Between two kinks of ReLU and max-pool a network is linear in any one weight, so its MSE is a
//! parabola in it, for which central differences have no error of their own; cross-entropy's third
//! derivative is below one where logits move at most at unit speed, which leaves h²/6. A difference
//! across a kink says nothing of the gradient: there h is halved until both ends lie between the same
//! kinks, which the ReLU masks and the pools' indices tell.

use crate::common;
use wgrad::nn::{Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, Ties, Training};
use wgrad::{Loss, Reduction, Session, Sgd};

/// The first step tried: large, because a loss is rounded and a small step blows its rounding up.
const FIRST_H: f32 = 1.0 / 128.0;
/// Below this the rounding of the losses would hide a gradient that is wrong.
const LAST_H: f32 = 1.0 / 16384.0;
/// ε: the relative error of one rounding.
const EPSILON: f64 = f32::EPSILON as f64 / 2.0;
/// How many roundings of a value of magnitude 1 + loss a loss may be off by: it has passed five ops
/// that sum at most 54 terms of mixed sign, whose errors add like noise to some √54.
const ROUNDINGS: f64 = 8.0;
/// Weights of each parameter that are tried, evenly spread.
const TRIED: usize = 24;

const BATCH: usize = 3;
const SAMPLE: [usize; 3] = [2, 6, 7];

/// `middle` between a convolution, whose gradient passes through it, and a Linear layer.
fn around(middle: Sequential) -> Sequential {
    let before = Sequential::new().with(Conv2d::new(2, 3, (2, 3)).padding((1, 1)));
    before.then(middle).with(Flatten).with(Linear::new(5))
}

fn networks() -> Vec<(&'static str, Sequential)> {
    let one = |layer: Conv2d| Sequential::new().with(layer);
    let pool = |layer: MaxPool2d| Sequential::new().with(layer);
    vec![
        ("nothing", around(Sequential::new())),
        ("ReLU", around(Sequential::new().with(ReLU))),
        ("convolution", around(one(Conv2d::new(3, 2, 3)))),
        ("stride", around(one(Conv2d::new(3, 2, 2).stride((2, 3))))),
        (
            "padding",
            around(one(Conv2d::new(3, 2, (3, 2)).padding((2, 1)))),
        ),
        (
            "stride and padding",
            around(one(Conv2d::new(3, 2, 3).stride((3, 2)).padding((1, 2)))),
        ),
        (
            "no bias",
            around(one(Conv2d::new(3, 2, (1, 3)).bias(false))),
        ),
        ("pool", around(pool(MaxPool2d::new(2)))),
        (
            "overlapping pool",
            around(pool(MaxPool2d::new(3).stride((1, 2)).padding((1, 0)))),
        ),
        (
            "pool with gaps",
            around(pool(MaxPool2d::new((1, 2)).stride((2, 3)))),
        ),
        (
            "pool, all ties",
            around(pool(MaxPool2d::new((2, 3)).stride(1).ties(Ties::All))),
        ),
        (
            "Linear layers",
            around(
                Sequential::new()
                    .with(ReLU)
                    .with(Flatten)
                    .with(Linear::new(6))
                    .with(ReLU),
            ),
        ),
        (
            "Linear without bias",
            around(
                Sequential::new()
                    .with(Flatten)
                    .with(Linear::new(6).bias(false))
                    .with(ReLU),
            ),
        ),
    ]
}

/// The loss, and which side of its kinks each unit is on.
async fn loss_and_sides(session: &mut Session, units: &[String]) -> (f64, Vec<u32>) {
    session.forward().unwrap();
    let loss = session.loss().await.unwrap();
    let mut sides = Vec::new();
    for unit in units {
        let tensor = session.plan().find(unit).unwrap();
        let words = session.executor().read_words(tensor).await.unwrap();
        let is_index = unit.ends_with("indices");
        let side = |word: u32| match is_index {
            true => word,
            false => u32::from(f32::from_bits(word) > 0.0),
        };
        sides.extend(words.into_iter().map(side));
    }
    (loss, sides)
}

/// Checks the gradient of every parameter of `model`; returns how many weights were tried, and the
/// largest error in units of what is allowed.
async fn check(device: &wgrad::Device, name: &str, model: &Sequential, loss: Loss) -> (usize, f64) {
    let training = Training {
        sample: SAMPLE.into(),
        batch_size: BATCH,
        loss,
        optimizer: Sgd::new(0.0),
        dataset: None,
        accumulate: false,
    };
    let mut session = Session::new(device, model, &training, 1).await.unwrap();
    let plan = session.plan();
    let parameters: Vec<(String, usize)> = plan
        .parameters()
        .map(|(_, t)| (t.name.clone(), t.shape.elements()))
        .collect();
    let units: Vec<String> = plan
        .tensors()
        .iter()
        .filter(|t| {
            t.name.ends_with(".indices")
                || (t.name.starts_with("relu") && t.name.ends_with(".output"))
        })
        .map(|t| t.name.clone())
        .collect();
    // Pixels that no two share: nothing ties.
    let len = BATCH * SAMPLE.iter().product::<usize>();
    let images: Vec<f32> = (0..len)
        .map(|i| (i * 97 % len) as f32 / len as f32 - 0.4)
        .collect();
    session.set_batch(&images, &[0, 3, 4]).unwrap();
    session.forward().unwrap();
    session.loss().await.unwrap();
    session.backward().unwrap();

    let (mut tried, mut worst) = (0, 0f64);
    for (parameter, len) in parameters {
        let (layer, kind) = parameter.rsplit_once('.').unwrap();
        let gradient = session.read(&format!("{layer}.d_{kind}")).await.unwrap();
        let values = session.read(&parameter).await.unwrap();
        for at in (0..len).step_by(len.div_ceil(TRIED)) {
            let mut h = FIRST_H;
            loop {
                assert!(
                    h >= LAST_H,
                    "{name}: {parameter}[{at}]: a kink at every step"
                );
                let mut ends = Vec::new();
                for side in [h, -h] {
                    let mut moved = values.clone();
                    moved[at] += side;
                    session.write(&parameter, &moved).unwrap();
                    let (loss, sides) = loss_and_sides(&mut session, &units).await;
                    ends.push((f64::from(moved[at]), loss, sides));
                }
                if ends[0].2 != ends[1].2 {
                    h /= 2.0;
                    continue;
                }
                let distance = ends[0].0 - ends[1].0;
                let difference = (ends[0].1 - ends[1].1) / distance;
                let rounding = ROUNDINGS * EPSILON * (1.0 + ends[0].1) * 2.0 / distance;
                let allowed = rounding + distance * distance / 24.0;
                let error = (difference - f64::from(gradient[at])).abs() / allowed;
                assert!(
                    error <= 1.0,
                    "{name}, {loss}: {parameter}[{at}]: gradient {}, difference {difference}, \
                     {error:.1} times what is allowed",
                    gradient[at]
                );
                (tried, worst) = (tried + 1, worst.max(error));
                break;
            }
        }
        session.write(&parameter, &values).unwrap();
    }
    (tried, worst)
}

#[test]
fn every_layer_option_and_loss_agrees_with_central_differences() {
    let Some(device) = common::gpu() else { return };
    for (name, model) in networks() {
        for loss in [
            Loss::Mse(Reduction::Mean),
            Loss::Mse(Reduction::BatchMean),
            Loss::CrossEntropy,
        ] {
            let (tried, worst) = wgrad::block_on(check(&device, name, &model, loss));
            println!("{name}, {loss}: {tried} weights, at most {worst:.2} of what is allowed");
            assert!(tried > 40);
        }
    }
}
