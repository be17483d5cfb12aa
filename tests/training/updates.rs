//! What belongs to the update: decay of weights alone.

use super::checkpoints::devices;
use wgrad::nn::{BatchNorm2d, Conv2d, Flatten, Linear, Sequential, Training};
use wgrad::{Adam, Device, Loss, Optimizer, Session, Sgd};

/// A model with weights, biases, and a normalisation.
fn model() -> Sequential {
    Sequential::new()
        .with(Conv2d::new(1, 3, 3))
        .with(BatchNorm2d::new(3))
        .with(Flatten)
        .with(Linear::new(70))
}

/// A session that has computed the gradients of a batch.
async fn session(device: &Device, training: &Training) -> Session {
    let mut session = Session::new(device, &model(), training, 7).await.unwrap();
    let images: Vec<f32> = (0..4 * 25).map(|i| (i % 7) as f32 / 7.0).collect();
    session.set_batch(&images, &[0, 1, 2, 69]).unwrap();
    session.forward().unwrap();
    session.loss().await.unwrap();
    session.backward().unwrap();
    session
}

fn training(optimizer: impl Into<Optimizer>) -> Training {
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
