//! Resuming with every optimizer, and after the device was lost.

use super::checkpoints::{bits, checksum, devices, scratch, train_some, trainer};
use crate::common;
use wgrad::executor::Executor;
use wgrad::nn::{BatchNorm2d, Conv2d, Dropout, Flatten, Linear, ReLU, Sequential};
use wgrad::tune::Effort;
use wgrad::{
    Adam, Checkpoint, Config, Error, Lion, Loss, Optimizer, Planning, RmsProp, Sgd, Trainer,
};

/// Every optimizer has its own arrays in a checkpoint, and every state of a layer too.
#[test]
fn every_optimizer_resumes_with_the_same_bits() {
    let optimizers: [Optimizer; 10] = [
        Sgd::new(0.05).into(),
        Sgd::new(0.05).momentum(0.9).into(),
        Sgd::new(0.05).momentum(0.9).nesterov().into(),
        Adam::new(0.01).into(),
        Adam::decoupled(0.01).weight_decay(0.1).into(),
        Adam::decoupled(0.01).decay_weights_only().into(),
        RmsProp::new(0.01).weight_decay(0.1).into(),
        RmsProp::new(0.01).momentum(0.5).into(),
        RmsProp::new(0.01).momentum(0.5).centered().into(),
        Lion::new(0.001).weight_decay(0.1).into(),
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

#[test]
fn a_lost_device_is_an_error_and_a_new_one_continues_with_the_same_bits() {
    let Some(device) = common::gpu() else { return };
    wgrad::block_on(async {
        let mut whole = trainer(&device).await;
        whole.train_epoch(|_| {}).await.unwrap();
        whole.train_epoch(|_| {}).await.unwrap();
        let expected = bits(&mut whole).await;

        let mut first = trainer(&device).await;
        train_some(&mut first, 1).await;
        let checkpoint = first.checkpoint().await.unwrap();
        let Executor::Gpu(gpu) = first.executor() else {
            panic!("the device is no adapter");
        };
        gpu.destroy_device();
        let error = first.train_epoch(|_| {}).await.unwrap_err();
        assert!(matches!(error, Error::DeviceLost(_)), "{error}");
        assert!(error.to_string().starts_with("device lost: "), "{error}");
        assert!(first.checkpoint().await.is_err());

        let mut second = trainer(&device).await;
        second.restore(&checkpoint).unwrap();
        while second.epochs() < 2 {
            second.train_epoch(|_| {}).await.unwrap();
        }
        let found = bits(&mut second).await;
        let (expected_sum, found_sum) = (checksum(&expected), checksum(&found));
        println!("{device}: {expected_sum:08x} in one go, {found_sum:08x} on a second device");
        assert!(found == expected, "other bits on a new device");
    });
}
