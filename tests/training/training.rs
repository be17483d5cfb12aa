//! Whole training steps and epochs: the GPU against the CPU, against itself, and on real digits.

use crate::common;
use wgrad::data::Dataset;
use wgrad::executor::Executor;
use wgrad::graph::Graph;
use wgrad::nn::{Linear, Module, Sequential, Ties, Training};
use wgrad::ops::Step;
use wgrad::plan::{Phase, Port};
use wgrad::verify::lockstep;
use wgrad::{Config, Device, Loss, Reduction, Session, Sgd, Split, Trainer};

const TUTORIAL_LOSS: Loss = Loss::Mse(Reduction::BatchMean);

/// Two convolutions with uneven strides and paddings, so that one has an input gradient;
/// overlapping pools; input (2, 12, 11), four classes.
fn uneven_model(ties: Ties) -> Box<dyn Module> {
    common::built_in(match ties {
        Ties::First => "uneven",
        Ties::All => "uneven, all ties",
    })
}

/// Bytes as a batch written by the host: in [0, 1].
fn scaled(bytes: &[u8]) -> Vec<f32> {
    bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect()
}

fn mnist(train: usize) -> Dataset {
    let data = wgrad::data::load_mnist(common::MNIST).unwrap();
    data.with_train_len(train).unwrap()
}

fn config(loss: Loss, optimizer: Sgd, batch_size: usize) -> Config {
    Config::new(loss, optimizer)
        .batch_size(batch_size)
        .seed(3)
        .planning(wgrad::Planning::Fused(wgrad::tune::Effort::Off))
}

/// The bits of the parameters after training for `epochs` epochs.
fn trained(
    device: &Device,
    model: &dyn Module,
    data: &Dataset,
    config: Config,
    epochs: u32,
) -> Vec<u32> {
    wgrad::block_on(async {
        let mut trainer = Trainer::new(device, model, data, config).await.unwrap();
        for _ in 0..epochs {
            trainer.train_epoch(|_| {}).await.unwrap();
        }
        let arena = trainer.plan().port(Port::Parameters).unwrap();
        trainer.executor().read_words(arena).await.unwrap()
    })
}

/// Three training steps in lockstep, op by op, the last with a partial batch.
fn lockstep_of_steps(
    model: &dyn Module,
    data: &Dataset,
    loss: Loss,
    optimizer: Sgd,
    accumulate: bool,
) {
    let Some(device) = common::gpu() else { return };
    let samples = data.train.len();
    let training = Training::new(data.sample.clone(), loss, optimizer)
        .batch_size(5)
        .dataset(samples)
        .accumulate(accumulate);
    let plan = Graph::training(model, &training)
        .unwrap()
        .readable()
        .unwrap();
    wgrad::block_on(async {
        let mut executor = device.load(plan).await.unwrap();
        let plan = executor.plan().clone();
        let padded = |bytes: &[u8]| -> Vec<u32> {
            let mut bytes = bytes.to_vec();
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytemuck::pod_collect_to_vec(&bytes)
        };
        let find = |name: &str| plan.find(name).unwrap();
        executor.initialise(0).unwrap();
        executor
            .write_words(find("dataset.images"), &padded(&data.train.images))
            .unwrap();
        executor
            .write_words(find("dataset.labels"), &padded(&data.train.labels))
            .unwrap();
        let order: Vec<u32> = (0..samples as u32).rev().collect();
        executor.write_words(find("dataset.order"), &order).unwrap();
        let Executor::Gpu(gpu) = &mut executor else {
            panic!("the device is no adapter");
        };
        let mut phases = Phase::TRAIN.to_vec();
        phases.push(Phase::ZeroGrad);
        for (offset, rows) in [(0, 5), (5, 5), (10, 3)] {
            let step = Step::new(offset, rows, offset, 0.05);
            let reports = lockstep(gpu, &phases, &step).await.unwrap();
            assert!(reports.len() > plan.nodes().len());
            for report in reports {
                assert!(report.passes(), "rows {rows}: {report:?}");
            }
        }
    });
}

#[test]
fn every_op_of_the_tutorials_step_is_right() {
    lockstep_of_steps(
        &common::tutorial_model(),
        &mnist(13),
        TUTORIAL_LOSS,
        Sgd::new(0.01),
        false,
    );
}

#[test]
fn every_op_of_an_uneven_models_step_is_right() {
    let optimizer = Sgd::new(0.05).momentum(0.9).weight_decay(0.01);
    for (ties, accumulate) in [(Ties::First, true), (Ties::All, false)] {
        let model = uneven_model(ties);
        lockstep_of_steps(
            &model,
            &common::random_data(13, 0),
            Loss::CrossEntropy,
            optimizer,
            accumulate,
        );
    }
}

#[test]
fn one_seed_gives_the_same_bits_twice_and_another_seed_others() {
    let Some(device) = common::gpu() else { return };
    let data = common::random_data(203, 0);
    let model = uneven_model(Ties::First);
    let config = config(Loss::CrossEntropy, Sgd::new(0.05).momentum(0.9), 16);
    let first = trained(&device, &model, &data, config.clone(), 3);
    let second = trained(&device, &model, &data, config.clone(), 3);
    assert!(first == second, "two runs of one seed differ");
    let other = config.seed(4);
    assert!(
        first != trained(&device, &model, &data, other, 3),
        "two seeds agree"
    );
}

/// Compared by a printed checksum of the arenas, which is the same on every run of one driver.
#[test]
fn a_thousand_steps_give_the_same_bits_twice() {
    let Some(device) = common::gpu() else { return };
    let data = mnist(32 * 500);
    let run = || {
        wgrad::block_on(async {
            let optimizer = Sgd::new(0.01).momentum(0.5);
            let config = config(TUTORIAL_LOSS, optimizer, 32);
            let model = common::tutorial_model();
            let mut trainer = Trainer::new(&device, &model, &data, config).await.unwrap();
            for _ in 0..2 {
                trainer.train_epoch(|_| {}).await.unwrap();
            }
            let mut checksum = flate2::Crc::new();
            for arena in ["parameters", "gradients", "velocity"] {
                let arena = trainer.plan().find(arena).unwrap();
                let words = trainer.executor().read_words(arena).await.unwrap();
                checksum.update(bytemuck::cast_slice(&words));
            }
            checksum.sum()
        })
    };
    let (first, second) = (run(), run());
    println!("{device}: after 1,000 steps {first:08x} and {second:08x}");
    assert_eq!(first, second);
}

/// Each step rounds a parameter, of magnitude at most one, once on each side: by up to 6e-8. A
/// hundred such independent roundings add up to about 6e-7; their feedback through the gradients,
/// and the errors of the gradients themselves, scaled by the learning rate, are smaller. 2e-6 is
/// three times that, and below the effect of a single step with a wrong gradient.
///
/// If two pixels of a window, or one pixel and ReLU's zero, are closer than their errors, the two
/// sides may choose differently and diverge further. This happens in one run of 32 on one adapter,
/// and in three on another: one run of the five may.
#[test]
fn gpu_and_cpu_agree_after_100_steps() {
    let Some(device) = common::gpu() else { return };
    let data = mnist(32 * 100);
    for (loss, rate) in [(TUTORIAL_LOSS, 0.01), (Loss::CrossEntropy, 0.05)] {
        let mut worst = [0, 1, 2, 3, 4].map(|seed| {
            let config = config(loss.clone(), Sgd::new(rate), 32).seed(seed);
            let model = common::tutorial_model();
            let gpu = trained(&device, &model, &data, config.clone(), 1);
            let cpu = trained(&Device::cpu(), &model, &data, config, 1);
            let difference = |(&g, &c)| f64::from((f32::from_bits(g) - f32::from_bits(c)).abs());
            let differences: Vec<f64> = gpu.iter().zip(&cpu).map(difference).collect();
            assert!(
                differences.iter().all(|difference| difference.is_finite()),
                "{loss}"
            );
            differences.into_iter().fold(0.0, f64::max)
        });
        worst.sort_by(f64::total_cmp);
        println!("{loss}: {worst:?}");
        assert!(worst[3] < 2e-6, "{loss}: parameters differ by {worst:?}");
    }
}

#[test]
fn a_short_run_learns_real_digits() {
    let Some(device) = common::gpu() else { return };
    wgrad::block_on(async {
        let config = config(Loss::CrossEntropy, Sgd::new(0.05), 32);
        let model = common::tutorial_model();
        let mut trainer = Trainer::new(&device, &model, &mnist(6400), config)
            .await
            .unwrap();
        let before = trainer.evaluate(Split::Test).await.unwrap();
        let mut seen = 0;
        for _ in 0..3 {
            let on_progress = |progress: &wgrad::Progress| seen = progress.samples;
            trainer.train_epoch(on_progress).await.unwrap();
            assert_eq!(seen, 6400);
        }
        let after = trainer.evaluate(Split::Test).await.unwrap();
        assert!(
            before.accuracy < 0.3 && after.accuracy > 0.85,
            "{before:?} {after:?}"
        );
        assert!(after.loss < 0.5 * before.loss);
    });
}

/// A partial batch is a smaller batch: the same bits as a model lowered for that size.
#[test]
fn a_partial_batch_trains_like_a_batch_of_that_size() {
    let Some(device) = common::gpu() else { return };
    let data = common::random_data(3, 0);
    for device in [device, Device::cpu()] {
        let step = |batch_size| {
            let training = Training::new(data.sample.clone(), TUTORIAL_LOSS, Sgd::new(0.1))
                .batch_size(batch_size);
            wgrad::block_on(async {
                let model = uneven_model(Ties::First);
                let mut session = Session::new(&device, &model, &training, 0).await.unwrap();
                let images = scaled(&data.train.images);
                let labels: Vec<u32> = data.train.labels.iter().map(|&l| l.into()).collect();
                session.set_batch(&images, &labels).unwrap();
                session.forward().unwrap();
                let loss = session.loss().await.unwrap();
                session.backward().unwrap();
                session.step().unwrap();
                (loss, session.read("parameters").await.unwrap())
            })
        };
        assert_eq!(step(8), step(3), "{device}");
    }
}

/// 101 training and 37 test samples in batches of 32: no sample is dropped or counted twice.
#[test]
fn uneven_splits_are_evaluated_exactly() {
    let Some(device) = common::gpu() else { return };
    let data = common::random_data(101, 37);
    let evaluate = |device: &Device, batch_size| {
        wgrad::block_on(async {
            let config = config(Loss::CrossEntropy, Sgd::new(0.05), batch_size);
            let model = uneven_model(Ties::First);
            let mut trainer = Trainer::new(device, &model, &data, config).await.unwrap();
            let mut found = Vec::new();
            for split in [Split::Train, Split::Test] {
                let report = trainer.evaluate(split).await.unwrap();
                found.push((report.accuracy, report.loss));
            }
            found
        })
    };
    let expected = evaluate(&Device::cpu(), 1);
    assert_eq!((101.0 * expected[0].0).fract(), 0.0);
    for (device, batch_size) in [
        (&device, 32),
        (&device, 1),
        (&Device::cpu(), 32),
        (&device, 200),
    ] {
        for (found, expected) in evaluate(device, batch_size).iter().zip(&expected) {
            assert_eq!(found.0, expected.0, "{device}, batch {batch_size}");
            assert!(
                (found.1 - expected.1).abs() < 1e-6 * expected.1,
                "{found:?} {expected:?}"
            );
        }
    }
}

#[test]
fn gradients_accumulate_until_cleared_or_are_overwritten() {
    let Some(device) = common::gpu() else { return };
    let data = common::random_data(4, 0);
    for device in [device, Device::cpu()] {
        for accumulate in [true, false] {
            let training = Training::new(data.sample.clone(), TUTORIAL_LOSS, Sgd::new(0.1))
                .batch_size(4)
                .accumulate(accumulate);
            wgrad::block_on(async {
                let model = uneven_model(Ties::First);
                let mut session = Session::new(&device, &model, &training, 0).await.unwrap();
                let images = scaled(&data.train.images);
                session.set_batch(&images, &[0, 1, 2, 3]).unwrap();
                session.forward().unwrap();
                session.loss().await.unwrap();
                session.backward().unwrap();
                let once = session.read("gradients").await.unwrap();
                session.backward().unwrap();
                let twice = session.read("gradients").await.unwrap();
                let factor = if accumulate { 2.0 } else { 1.0 };
                let largest = once.iter().fold(0f32, |max, g| max.max(g.abs()));
                assert!(largest > 0.0);
                for (once, twice) in once.iter().zip(&twice) {
                    // The second pass adds its terms one by one to the sum of the first.
                    assert!(
                        (factor * once - twice).abs() <= 1e-5 * largest,
                        "{once} {twice}"
                    );
                }
                session.zero_grad().unwrap();
                let cleared = session.read("gradients").await.unwrap();
                assert!(cleared.iter().all(|&gradient| gradient == 0.0));
            });
        }
    }
}

/// 300 steps need more slots than one submit has.
#[test]
fn epochs_longer_than_a_submit_count_every_row() {
    let data = common::random_data(300, 0);
    for device in common::gpu().into_iter().chain([Device::cpu()]) {
        wgrad::block_on(async {
            let config = config(TUTORIAL_LOSS, Sgd::new(0.01), 1);
            let model = uneven_model(Ties::First);
            let mut trainer = Trainer::new(&device, &model, &data, config).await.unwrap();
            let mut samples = Vec::new();
            let report = trainer
                .train_epoch(|p| samples.push(p.samples))
                .await
                .unwrap();
            assert!(
                samples.is_sorted() && samples.last() == Some(&300),
                "{samples:?}"
            );
            assert!(report.loss.is_finite());
        });
    }
}

/// Phases in another order would work with an earlier batch's values.
#[test]
fn phases_out_of_order_are_refused() {
    wgrad::block_on(async {
        let model = Sequential::new().with(Linear::new(2));
        let training = Training::new([2], Loss::CrossEntropy, Sgd::new(0.1)).batch_size(1);
        let mut session = Session::new(&Device::cpu(), &model, &training, 0)
            .await
            .unwrap();
        let early = |call: &str, first: &str| {
            format!("session's `{call}`: expected `{first}` of this batch before, got none")
        };
        let error = |done: wgrad::Result<()>| done.unwrap_err().to_string();
        assert_eq!(error(session.forward()), early("forward", "set_batch"));
        assert_eq!(error(session.infer()), early("infer", "set_batch"));
        session.set_batch(&[1.0, 2.0], &[1]).unwrap();
        let loss = session.loss().await.map(drop);
        assert_eq!(error(loss), early("loss", "forward` or `infer"));
        session.forward().unwrap();
        let too_early = early("backward", "forward` and `loss");
        assert_eq!(error(session.backward()), too_early);
        assert_eq!(error(session.step()), early("step", "backward"));
        session.loss().await.unwrap();
        session.backward().unwrap();
        session.step().unwrap();
        session.infer().unwrap();
        session.loss().await.unwrap();
        // The values that the backward pass reads are those of training.
        assert_eq!(error(session.backward()), too_early);
        session.set_batch(&[2.0, 1.0], &[0]).unwrap();
        session.forward().unwrap();
        assert_eq!(error(session.backward()), too_early);
    });
}
