//! Updates from the gradients of several batches.

use super::checkpoints::{bits, devices, scratch, train_some};
use crate::common;
use wgrad::nn::{BatchNorm2d, Conv2d, Dropout, Flatten, Linear, ReLU, Sequential};
use wgrad::ops::Step;
use wgrad::plan::Phase;
use wgrad::tune::Effort;
use wgrad::{
    Adam, Checkpoint, Clipping, Config, Device, Loss, Optimizer, Planning, Residency, Schedule,
    Trainer,
};

/// 25 whole batches and one of 3 rows; eight groups of three batches, and one of two.
const SAMPLES: usize = 203;
const BATCH: usize = 8;
const GROUP: usize = 3;
const RATE: f32 = 0.01;
const SEED: u64 = 5;

fn optimizer() -> Optimizer {
    Adam::new(RATE).into()
}

fn schedule() -> Schedule {
    Schedule::cosine(17).warm_up(3)
}

pub(super) fn config() -> Config {
    Config::new(Loss::CrossEntropy, optimizer())
        .schedule(schedule())
        .clipping(Clipping::new().norm(0.5))
        .batch_size(BATCH)
        .micro_batches(GROUP)
        .seed(SEED)
        .shuffle(false)
        .planning(Planning::Fused(Effort::Off))
}

pub(super) async fn trainer(device: &Device, config: Config) -> Trainer {
    let model = Sequential::new()
        .with(Conv2d::new(2, 3, 3))
        .with(BatchNorm2d::new(3))
        .with(ReLU)
        .with(Flatten)
        .with(Dropout::new(0.25))
        .with(Linear::new(4));
    let data = common::random_data(SAMPLES, 0);
    Trainer::new(device, &model, &data, config).await.unwrap()
}

/// Two epochs by the definition: gradients are added in order, phase by phase.
async fn by_hand(device: &Device, config: Config) -> Trainer {
    let mut trainer = trainer(device, config).await;
    let executor = trainer.executor();
    let batches = SAMPLES.div_ceil(BATCH);
    let (mut number, mut updates) = (0u32, 0u64);
    for epoch in 0..2 {
        for group in (0..batches).collect::<Vec<_>>().chunks(GROUP) {
            let rows = |batch: usize| BATCH.min(SAMPLES - batch * BATCH) as u32;
            let all: u32 = group.iter().map(|&batch| rows(batch)).sum();
            let rate = RATE * schedule().factor(updates);
            for &batch in group {
                let step = Step::new((batch * BATCH) as u32, rows(batch), 0, rate)
                    .at(epoch, number)
                    .seed(SEED)
                    .scalars(optimizer().scalars(updates))
                    .part_of(all, updates as u32, true);
                for phase in [Phase::Gather, Phase::Forward, Phase::Loss, Phase::Backward] {
                    executor.run(phase.alone(), &[step]).unwrap();
                }
                if Some(&batch) == group.last() {
                    executor.run(&[Phase::Update], &[step]).unwrap();
                    executor.run(&[Phase::ZeroGrad], &[step]).unwrap();
                }
                number += 1;
            }
            updates += 1;
        }
    }
    trainer
}

#[test]
fn micro_batches_give_the_bits_of_adding_their_gradients_by_hand() {
    for device in devices() {
        wgrad::block_on(async {
            let expected = bits(&mut by_hand(&device, config()).await).await;
            let streamed = config().residency(Residency::Streamed);
            for config in [config(), streamed] {
                let mut whole = trainer(&device, config.clone()).await;
                train_some(&mut whole, 1).await;
                assert!(whole.is_within_epoch());
                let path = scratch("micro_batches.safetensors");
                whole.checkpoint().await.unwrap().save(&path).unwrap();
                let mut resumed = trainer(&device, config).await;
                resumed.restore(&Checkpoint::load(&path).unwrap()).unwrap();
                for mut trainer in [whole, resumed] {
                    while trainer.epochs() < 2 {
                        trainer.train_epoch(|_| {}).await.unwrap();
                    }
                    assert!(bits(&mut trainer).await == expected, "{device}: other bits");
                }
            }
        });
    }
}

/// Without what depends on the batch, three micro-batches are a batch of three times the rows, but
/// for roundings.
#[test]
fn micro_batches_train_like_one_batch_of_all_their_rows() {
    let data = common::random_data(SAMPLES, 0);
    let model = Sequential::new().with(Flatten).with(Linear::new(4));
    for device in devices() {
        wgrad::block_on(async {
            let mut parameters = Vec::new();
            for (batch, group) in [(BATCH, GROUP), (BATCH * GROUP, 1)] {
                let config = config().batch_size(batch).micro_batches(group);
                let new = Trainer::new(&device, &model, &data, config);
                let mut trainer = new.await.unwrap();
                trainer.train_epoch(|_| {}).await.unwrap();
                let tensor = trainer.plan().find("parameters").unwrap();
                parameters.push(trainer.executor().read(tensor).await.unwrap());
            }
            for (micro, whole) in parameters[0].iter().zip(&parameters[1]) {
                assert!(
                    (micro - whole).abs() < 1e-4,
                    "{device}: {micro}, not {whole}"
                );
            }
        });
    }
}

#[test]
fn no_micro_batches_and_too_many_are_refused() {
    for count in [0, 257] {
        let data = common::random_data(SAMPLES, 0);
        let model = Sequential::new().with(Flatten).with(Linear::new(4));
        let config = config().micro_batches(count);
        let trainer = wgrad::block_on(Trainer::new(&Device::cpu(), &model, &data, config));
        let expected = format!("micro-batches of an update: expected 1 to 256, got {count}");
        assert_eq!(trainer.unwrap_err().to_string(), expected);
    }
}
