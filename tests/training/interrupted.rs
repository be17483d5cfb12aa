//! Training interrupted by a panic, a dropped future, a lost device or a loss that is not finite:
//! the trainer continues with the bits of an uninterrupted run, or reports the error.

use std::future::Future;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use crate::common::{self, fragile};
use wgrad::nn::{Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential};
use wgrad::{Checkpoint, Config, Device, Error, Loss, Progress, Result, Sgd, Split, Trainer};

const SAMPLES: usize = 2003;
const EPOCHS: u64 = 2;

fn config() -> Config {
    Config::new(Loss::CrossEntropy, Sgd::new(0.05).momentum(0.9))
        .batch_size(8)
        .seed(5)
        .planning(wgrad::Planning::Fused(wgrad::tune::Effort::Off))
}

fn trainer(device: &Device, config: Config) -> Trainer {
    let model = Sequential::new()
        .with(Conv2d::new(2, 3, (3, 2)).padding(1))
        .with(ReLU)
        .with(MaxPool2d::new(2))
        .with(Flatten)
        .with(Linear::new(4));
    trainer_of(device, &model, config)
}

fn trainer_of(device: &Device, model: &Sequential, config: Config) -> Trainer {
    let data = common::random_data(SAMPLES, 8);
    wgrad::block_on(Trainer::new(device, model, &data, config)).unwrap()
}

fn devices() -> Vec<Device> {
    common::gpu().into_iter().chain([Device::cpu()]).collect()
}

fn checkpoint(trainer: &Trainer) -> Result<Checkpoint> {
    wgrad::block_on(trainer.checkpoint())
}

/// The checkpoint after all epochs.
fn finish(mut trainer: Trainer) -> Checkpoint {
    wgrad::block_on(async {
        while trainer.epochs() < EPOCHS {
            trainer.train_epoch(|_| {}).await.unwrap();
        }
        trainer.checkpoint().await.unwrap()
    })
}

/// Panics in call number `call` of `on_progress`; returns whether that call happened.
fn panic_at(trainer: &mut Trainer, call: usize) -> bool {
    let mut calls = 0;
    let cut = catch_unwind(AssertUnwindSafe(|| {
        let on_progress = |_: &wgrad::Progress| {
            calls += 1;
            assert!(calls < call, "rehearsed");
        };
        wgrad::block_on(trainer.train_epoch(on_progress)).map(drop)
    }));
    cut.is_err()
}

/// Polls the future of an epoch `polls` times and drops it; returns whether the epoch was still
/// running.
fn drop_after(trainer: &mut Trainer, polls: usize) -> bool {
    let mut epoch = pin!(trainer.train_epoch(|_| {}));
    let mut context = Context::from_waker(Waker::noop());
    (0..polls).all(|_| matches!(epoch.as_mut().poll(&mut context), Poll::Pending))
}

/// Wherever a trainer is interrupted, its position matches its parameters: it ends with the bits of
/// an uninterrupted run, and so does another that restores its checkpoint.
fn continues_after(cut: impl Fn(&mut Trainer, usize) -> bool) {
    for device in devices() {
        let expected = finish(trainer(&device, config()));
        for at in [1, 2, 3] {
            let mut first = trainer(&device, config());
            assert!(
                cut(&mut first, at),
                "{device}: the epoch was over before {at}"
            );
            let left = checkpoint(&first).unwrap();
            let position = (&left.metadata["epoch"], &left.metadata["step"]);
            println!("{device}: cut off at {at}, epoch and step {position:?}");
            let mut second = trainer(&device, config());
            second.restore(&left).unwrap();
            assert!(finish(first) == expected, "{device}: goes on to other bits");
            assert!(
                finish(second) == expected,
                "{device}: resumes to other bits"
            );
        }
    }
}

#[test]
fn after_a_panic_in_the_callback_training_continues_with_the_same_bits() {
    continues_after(panic_at);
}

#[test]
fn after_a_dropped_future_training_continues_with_the_same_bits() {
    continues_after(drop_after);
}

/// A step that panics may have updated some of the parameters: only a restore helps.
#[test]
fn a_panic_within_a_step_is_an_error_until_a_restore() {
    let made = || {
        let model = Sequential::new()
            .with(Flatten)
            .with(Linear::new(8))
            .with(fragile::Fragile)
            .with(Linear::new(4));
        trainer_of(&Device::cpu(), &model, config())
    };
    let mut trainer = made();
    let good = checkpoint(&trainer).unwrap();
    let expected = finish(made());
    fragile::BREAKS.store(true, Ordering::Relaxed);
    let cut = catch_unwind(AssertUnwindSafe(|| {
        wgrad::block_on(trainer.train_epoch(|_| {})).map(drop)
    }));
    assert!(cut.is_err(), "no kernel panicked");

    let cut_off =
        "trainer: expected a restored checkpoint, since training was cut off within a step";
    let refused = |result: Result<()>| assert_eq!(result.unwrap_err().to_string(), cut_off);
    refused(checkpoint(&trainer).map(drop));
    refused(wgrad::block_on(trainer.train_epoch(|_| {})).map(drop));
    refused(wgrad::block_on(trainer.evaluate(Split::Test)).map(drop));
    refused(trainer.load_parameters(&good).map(drop));

    fragile::BREAKS.store(false, Ordering::Relaxed);
    trainer.restore(&good).unwrap();
    assert!(finish(trainer) == expected, "other bits after a restore");
}

/// The first step's update overflows; the second step's loss shows it.
#[test]
fn a_loss_that_is_not_finite_is_an_error_that_names_the_step() {
    for device in devices() {
        let mut config = config();
        config.optimizer = Sgd::new(1e38).into();
        let mut trainer = trainer(&device, config);
        let good = checkpoint(&trainer).unwrap();
        let train = |trainer: &mut Trainer| wgrad::block_on(trainer.train_epoch(|_| {}));
        let error = train(&mut trainer).unwrap_err();
        println!("{device}: {error}");
        let Error::NotFinite {
            epoch: 1,
            step,
            loss,
        } = error
        else {
            panic!("{device}: {error}");
        };
        assert!(step > 1 && step < 10 && !loss.is_finite(), "{step} {loss}");

        // The parameters are refused when saving, and the file stays as it was.
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("good.safetensors");
        good.save(&file).unwrap();
        let bad = checkpoint(&trainer).unwrap();
        let (name, at, value) = bad.first_not_finite().unwrap();
        let got = format!("{value} at {at} of {name}");
        let refused = bad.save(&file).unwrap_err().to_string();
        let file_name = file.display();
        assert_eq!(
            refused,
            format!("{file_name}: expected finite values to save, got {got}")
        );
        assert_eq!(Checkpoint::load(&file).unwrap(), good);

        // If allowed, the epoch runs to its end and reports the same step.
        trainer.restore(&good).unwrap();
        trainer.set_allow_not_finite(true);
        let report = train(&mut trainer).unwrap();
        assert_eq!(report.first_not_finite, Some(step));
        assert!(!report.loss.is_finite() && trainer.epochs() == 1);

        // From the good checkpoint, at a good rate, training works again.
        trainer.restore(&good).unwrap();
        trainer.set_allow_not_finite(false);
        trainer.set_learning_rate(0.01).unwrap();
        assert_eq!(train(&mut trainer).unwrap().first_not_finite, None);
    }
}

/// Steps are submitted in bursts of about 50 ms. A pass ends by waiting for the bursts in flight,
/// which on the CPU are done already: that must not count as a burst that took no time, or the next
/// pass would begin with a very long one.
#[test]
fn a_pass_begins_with_a_burst_as_short_as_the_last() {
    const BATCH: usize = 256;
    let wide = Sequential::new()
        .with(Flatten)
        .with(Linear::new(4000))
        .with(ReLU);
    let model = wide.with(Linear::new(4));
    let data = common::random_data(40 * BATCH, 8);
    let config = config().batch_size(BATCH);
    let cpu = Device::cpu();
    let mut trainer = wgrad::block_on(Trainer::new(&cpu, &model, &data, config)).unwrap();
    // Samples seen at the first report of progress, after which the pass ends.
    let mut first_progress = || {
        let mut seen = 0;
        let stop = |progress: &Progress| {
            seen = if seen == 0 { progress.samples } else { seen };
            ControlFlow::Break(())
        };
        wgrad::block_on(trainer.train_until(stop)).unwrap();
        seen as usize
    };
    assert_eq!(first_progress(), BATCH);
    // A step takes tens of milliseconds, so that few fit a burst; two were in flight.
    let seen = first_progress();
    assert!(seen <= 12 * BATCH, "{} steps", seen / BATCH);
}
