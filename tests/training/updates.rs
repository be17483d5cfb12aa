//! What belongs to the update: decay of weights alone, clipping.

use super::checkpoints::devices;
use wgrad::nn::{BatchNorm2d, Conv2d, Flatten, Linear, Sequential, Training};
use wgrad::{Adam, Clipping, Device, Loss, Optimizer, Session, Sgd};

/// A model with weights, biases, and a normalisation.
fn model() -> Sequential {
    Sequential::new()
        .with(Conv2d::new(1, 3, 3))
        .with(BatchNorm2d::new(3))
        .with(Flatten)
        .with(Linear::new(70))
}

/// A session that has computed the gradients of a batch.
pub(super) async fn session(device: &Device, training: &Training) -> Session {
    let mut session = Session::new(device, &model(), training, 7).await.unwrap();
    let images: Vec<f32> = (0..4 * 25).map(|i| (i % 7) as f32 / 7.0).collect();
    session.set_batch(&images, &[0, 1, 2, 69]).unwrap();
    session.forward().unwrap();
    session.loss().await.unwrap();
    session.backward().unwrap();
    session
}

pub(super) fn training(optimizer: impl Into<Optimizer>) -> Training {
    Training::new([1, 5, 5], Loss::CrossEntropy, optimizer).batch_size(4)
}

/// Without gradients only the decay changes parameters: those of more than one dimension.
#[test]
fn a_decay_of_weights_only_leaves_biases_and_normalisations() {
    let optimizers: [Optimizer; 4] = [
        Sgd::new(0.5).weight_decay(0.5).decay_weights_only().into(),
        Sgd::new(0.5)
            .momentum(0.5)
            .weight_decay(0.5)
            .decay_weights_only()
            .into(),
        Adam::new(0.5).weight_decay(0.5).decay_weights_only().into(),
        Adam::decoupled(0.5)
            .weight_decay(0.5)
            .decay_weights_only()
            .into(),
    ];
    for device in devices() {
        for optimizer in optimizers {
            wgrad::block_on(async {
                let mut session = session(&device, &training(optimizer)).await;
                let names: Vec<(String, usize)> = (session.plan().parameters())
                    .map(|(_, tensor)| (tensor.name.clone(), tensor.words()))
                    .collect();
                let mut before = Vec::new();
                for (name, words) in &names {
                    let (layer, own) = name.rsplit_once('.').unwrap();
                    let gradient = format!("{layer}.d_{own}");
                    session.write(&gradient, &vec![0.0; *words]).unwrap();
                    session.write(name, &vec![1.5; *words]).unwrap();
                    before.push(session.read(name).await.unwrap());
                }
                session.step().unwrap();
                for ((name, _), before) in names.iter().zip(before) {
                    let after = session.read(name).await.unwrap();
                    let is_weight = ["0.weight", "3.weight"].contains(&name.as_str());
                    let shrank = after.iter().zip(&before).all(|(new, old)| new < old);
                    let what = format!("{device}, {optimizer}: {name}");
                    assert!(if is_weight { shrank } else { after == before }, "{what}");
                }
            });
        }
    }
}

/// The gradients as PyTorch would clip them, within some roundings.
#[test]
fn gradients_are_clipped_before_the_update() {
    let value = Clipping::new().value(0.0625);
    let norm = Clipping::new().norm(0.25);
    for device in devices() {
        for (clipping, limits) in [
            (Clipping::new(), (f64::INFINITY, f64::INFINITY)),
            (value, (0.0625, f64::INFINITY)),
            (norm, (f64::INFINITY, 0.25)),
            (value.norm(0.125), (0.0625, 0.125)),
            (norm.norm(1000.0), (f64::INFINITY, 1000.0)),
        ] {
            wgrad::block_on(async {
                let training = training(Sgd::new(0.5)).clipping(clipping);
                let mut session = session(&device, &training).await;
                let before = session.read("gradients").await.unwrap();
                let parameters = session.read("parameters").await.unwrap();
                session.step().unwrap();
                let after = session.read("gradients").await.unwrap();
                let updated = session.read("parameters").await.unwrap();
                let limited = |g: &f32| f64::from(*g).clamp(-limits.0, limits.0);
                let expected: Vec<f64> = before.iter().map(limited).collect();
                let norm = expected.iter().map(|g| g * g).sum::<f64>().sqrt();
                assert!(norm > 0.3, "the gradients are too short to be clipped");
                let factor = (limits.1 / (norm + 1e-6)).min(1.0);
                for (i, (found, expected)) in after.iter().zip(&expected).enumerate() {
                    let expected = expected * factor;
                    let off = (f64::from(*found) - expected).abs();
                    assert!(off <= 1e-5 * expected.abs(), "{device}, {clipping}: {i}");
                    let moved = parameters[i] - 0.5 * found;
                    assert!((updated[i] - moved).abs() <= 1e-6, "{device}, {clipping}");
                }
            });
        }
    }
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    for (clipping, expected) in [
        (
            Clipping::new().norm(0.0),
            "limit of the gradients' norm: expected a finite number above 0, got 0",
        ),
        (
            Clipping::new().value(f32::INFINITY),
            "limit of the gradients: expected a finite number above 0, got inf",
        ),
    ] {
        let training = training(Sgd::new(0.5)).clipping(clipping);
        let session = wgrad::block_on(Session::new(&Device::cpu(), &model(), &training, 0));
        assert_eq!(session.unwrap_err().to_string(), expected);
    }
}
