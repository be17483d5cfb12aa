//! Gradients of whole networks against central differences, both on the GPU, with each layer and
//! each of its options in the middle of a network, under every loss.
//!
//! Between two kinks of ReLU and max-pool a network is linear in any single weight, so its MSE is a
//! parabola in that weight, for which central differences are exact. The third derivative of
//! cross-entropy is below one if logits change at most at unit speed, which leaves an error of
//! h²/6. Batch norm makes every loss curved: the error of a central difference falls with the
//! square of the distance, so it is estimated from the difference over half the distance. A
//! difference across a kink does not approximate the gradient: there h is halved until both ends
//! lie between the same kinks, as shown by the ReLU masks and pool indices.

use super::gradient_networks::{curved_networks, networks};
use crate::common;
use wgrad::nn::{Sequential, Training};
use wgrad::{Loss, Reduction, Session, Sgd};

/// The first step tried: large, because a small step amplifies the rounding of the loss.
const FIRST_H: f32 = 1.0 / 128.0;
/// Below this the rounding of the losses would hide a wrong gradient.
const LAST_H: f32 = 1.0 / 16384.0;
/// ε: the relative error of one rounding.
const EPSILON: f64 = f32::EPSILON as f64 / 2.0;
/// The error of a loss, in roundings of a value of magnitude 1 + loss: it comes from five ops that
/// sum at most 54 terms of mixed sign, whose errors add up like noise to about √54.
const ROUNDINGS: f64 = 8.0;
/// The same with batch norm in between: dividing by the deviation doubles it.
const CURVED_ROUNDINGS: f64 = 2.0 * ROUNDINGS;
/// Number of weights tried per parameter, evenly spread.
const TRIED: usize = 24;

const BATCH: usize = 3;
const SAMPLE: [usize; 3] = [2, 6, 7];

/// The loss, and the side of its kink that each unit is on.
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

/// Checks the gradient of every parameter of `model`. Returns the number of weights tried, and the
/// largest error as a fraction of the tolerance.
async fn check(
    device: &wgrad::Device,
    name: &str,
    model: &Sequential,
    loss: Loss,
    is_curved: bool,
) -> (usize, f64) {
    let training = Training::new(SAMPLE, loss.clone(), Sgd::new(0.0))
        .batch_size(BATCH)
        .accumulate(false);
    let mut session = Session::new(device, model, &training, 1).await.unwrap();
    let plan = session.plan();
    let parameters: Vec<(String, usize)> = plan
        .parameters()
        .map(|(_, t)| (t.name.clone(), t.shape.elements()))
        .collect();
    let relus = plan.nodes().iter().filter(|node| {
        let is_leaky = || node.op.launch().constants.contains(&("FUNCTION", 0.0));
        node.op.name() == "relu_forward" || node.op.name() == "activation_forward" && is_leaky()
    });
    let relus = relus.map(|node| plan.tensor(node.outputs[0]).name.clone());
    let indices = plan
        .tensors()
        .iter()
        .filter(|t| t.name.ends_with(".indices"));
    let units: Vec<String> = indices.map(|t| t.name.clone()).chain(relus).collect();
    // Distinct pixels, so that nothing ties.
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
                let sides = [h, -h, h / 2.0, -h / 2.0];
                for side in sides.into_iter().take(if is_curved { 4 } else { 2 }) {
                    let mut moved = values.clone();
                    moved[at] += side;
                    session.write(&parameter, &moved).unwrap();
                    let (loss, sides) = loss_and_sides(&mut session, &units).await;
                    ends.push((f64::from(moved[at]), loss, sides));
                }
                if ends.iter().any(|end| end.2 != ends[0].2) {
                    h /= 2.0;
                    continue;
                }
                let differences: Vec<f64> = ends
                    .chunks(2)
                    .map(|ends| (ends[0].1 - ends[1].1) / (ends[0].0 - ends[1].0))
                    .collect();
                let last = &ends[ends.len() - 2..];
                let distance = last[0].0 - last[1].0;
                let difference = differences[differences.len() - 1];
                let roundings = if is_curved {
                    CURVED_ROUNDINGS
                } else {
                    ROUNDINGS
                };
                let rounding = roundings * EPSILON * (1.0 + last[0].1) * 2.0 / distance;
                // The error over the full distance is four times as large, so at most a third of
                // the change remains.
                let curvature = match is_curved {
                    true => (differences[0] - difference).abs(),
                    false => distance * distance / 24.0,
                };
                let allowed = rounding + curvature;
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
    let curved = curved_networks().into_iter();
    let networks = networks()
        .into_iter()
        .map(|(name, model)| (name, model, false));
    for (name, model, is_curved) in networks.chain(curved.map(|(name, model)| (name, model, true)))
    {
        for loss in [
            Loss::Mse(Reduction::Mean),
            Loss::Mse(Reduction::BatchMean),
            Loss::CrossEntropy,
        ] {
            let (tried, worst) =
                wgrad::block_on(check(&device, name, &model, loss.clone(), is_curved));
            println!("{name}, {loss}: {tried} weights, at most {worst:.2} of what is allowed");
            assert!(tried > 40);
        }
    }
}
