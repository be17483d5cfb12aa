//! Resuming with every optimizer.

use super::checkpoints::{bits, devices, scratch, train_some};
use crate::common;
use wgrad::nn::{BatchNorm2d, Conv2d, Dropout, Flatten, Linear, ReLU, Sequential};
use wgrad::tune::Effort;
use wgrad::{Adam, Checkpoint, Config, Loss, Optimizer, Planning, Sgd, Trainer};

/// Every optimizer has its own arrays in a checkpoint, and every state of a layer too.
#[test]
fn every_optimizer_resumes_with_the_same_bits() {
    let optimizers: [Optimizer; 5] = [
        Sgd::new(0.05).into(),
        Sgd::new(0.05).momentum(0.9).into(),
        Sgd::new(0.05).momentum(0.9).nesterov().into(),
        Adam::new(0.01).into(),
        Adam::decoupled(0.01).weight_decay(0.1).into(),
    ];
    let model = Sequential::new()
        .with(Conv2d::new(2, 3, 3).bias(false))
        .with(BatchNorm2d::new(3))
        .with(ReLU)
        .with(Flatten)
        .with(Dropout::new(0.25))
        .with(Linear::new(4));
    let data = common::random_data(203, 0);
    for device in devices() {
        for optimizer in optimizers {
            wgrad::block_on(async {
                let config = Config::new(Loss::CrossEntropy, optimizer).batch_size(8);
                let config = config.planning(Planning::Fused(Effort::Off));
                let new = || Trainer::new(&device, &model, &data, config.clone());
                let mut whole = new().await.unwrap();
                train_some(&mut whole, 1).await;
                assert!(whole.is_within_epoch());
                let path = scratch("optimizers.safetensors");
                whole.checkpoint().await.unwrap().save(&path).unwrap();
                let mut resumed = new().await.unwrap();
                resumed.restore(&Checkpoint::load(&path).unwrap()).unwrap();
                for trainer in [&mut whole, &mut resumed] {
                    trainer.train_epoch(|_| {}).await.unwrap();
                    trainer.train_epoch(|_| {}).await.unwrap();
                }
                let (expected, found) = (bits(&mut whole).await, bits(&mut resumed).await);
                assert!(
                    found == expected,
                    "{device}, {optimizer}: other bits after a resume"
                );
            });
        }
    }
}
