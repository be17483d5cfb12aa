//! Moving averages of the parameters, and learning-rate range tests, which restore a trainer.

use super::checkpoints::{bits, devices, train_some};
use super::micro_batches::{config, trainer};
use super::updates::{session, training};
use crate::common;
use wgrad::{Predictor, RateTest, Sgd, Split};

#[test]
fn averages_begin_with_the_first_update_and_decay() {
    for device in devices() {
        wgrad::block_on(async {
            let training = training(Sgd::new(0.5)).averaging(0.75);
            let mut session = session(&device, &training).await;
            let mut expected: Vec<f64> = Vec::new();
            for update in 0..4 {
                session.step().unwrap();
                let parameters = session.read("parameters").await.unwrap();
                let average = session.read("average").await.unwrap();
                if update == 0 {
                    assert!(common::words(&average) == common::words(&parameters));
                    expected = parameters.iter().map(|&p| p.into()).collect();
                }
                for (i, found) in average.iter().enumerate() {
                    expected[i] = 0.75 * expected[i] + 0.25 * f64::from(parameters[i]);
                    let off = (f64::from(*found) - expected[i]).abs();
                    assert!(off < 1e-5, "{device}: update {update}, parameter {i}");
                }
            }
        });
    }
}

#[test]
fn the_averaged_model_is_measured_saved_and_used() {
    for device in devices() {
        wgrad::block_on(async {
            let config = config().averaging(0.75).micro_batches(1);
            let mut whole = trainer(&device, config.clone()).await;
            assert_eq!(
                whole.averaged().await.unwrap_err().to_string(),
                "averaged parameters: expected updates of a training that averages them, got no \
                 update yet"
            );
            train_some(&mut whole, 1).await;
            let checkpoint = whole.checkpoint().await.unwrap();
            let mut resumed = trainer(&device, config.clone()).await;
            resumed.restore(&checkpoint).unwrap();
            for trainer in [&mut whole, &mut resumed] {
                trainer.train_epoch(|_| {}).await.unwrap();
            }
            let checkpoint = whole.checkpoint().await.unwrap();
            assert!(
                resumed.checkpoint().await.unwrap() == checkpoint,
                "{device}"
            );

            let before = bits(&mut whole).await;
            let own = whole.classes(Split::Train).await.unwrap();
            let mut averaged = whole.averaged().await.unwrap();
            let loss = averaged.evaluate(Split::Train).await.unwrap().loss;
            let classes = averaged.classes(Split::Train).await.unwrap();
            drop(averaged);
            assert!(
                bits(&mut whole).await == before,
                "{device}: other parameters"
            );
            assert_eq!(whole.classes(Split::Train).await.unwrap(), own);

            let mut other = trainer(&device, config).await;
            let averages = checkpoint.averaged().unwrap();
            other.load_parameters(&averages).unwrap();
            assert!(bits(&mut other).await != before);
            let expected = other.evaluate(Split::Train).await.unwrap().loss;
            assert_eq!(loss, expected, "{device}");
            let mut predictor = Predictor::from_checkpoint(&device, &averages).unwrap();
            let images = &common::random_data(203, 0).train.images;
            let images: Vec<f32> = images.iter().map(|&byte| f32::from(byte) / 255.0).collect();
            assert_eq!(
                predictor.classes(&images).await.unwrap(),
                classes,
                "{device}"
            );
        });
    }
}

#[test]
fn without_averaging_there_are_no_averages() {
    let device = wgrad::Device::cpu();
    wgrad::block_on(async {
        let mut trainer = trainer(&device, config()).await;
        train_some(&mut trainer, 1).await;
        let error = trainer.averaged().await.unwrap_err().to_string();
        assert!(error.ends_with("got one without averaging"), "{error}");
        let checkpoint = trainer.checkpoint().await.unwrap();
        let error = checkpoint.averaged().unwrap_err().to_string();
        let expected =
            "checkpoint's averaged parameters: expected those of a training that averages";
        assert!(error.starts_with(expected), "{error}");
        let config = config().averaging(1.0);
        let model = wgrad::nn::Sequential::new()
            .with(wgrad::nn::Flatten)
            .with(wgrad::nn::Linear::new(4));
        let data = common::random_data(8, 0);
        let refused = wgrad::Trainer::new(&device, &model, &data, config).await;
        let expected = "averaging: expected a decay of 0 to below 1, got 1";
        assert_eq!(refused.unwrap_err().to_string(), expected);
    });
}

/// The test passes several epochs, diverges, and leaves the trainer as it was.
#[test]
fn a_rate_test_ends_where_the_loss_diverges_and_restores_the_trainer() {
    for device in devices() {
        for group in [1, 3] {
            wgrad::block_on(async {
                let config = config().micro_batches(group).shuffle(true).averaging(0.5);
                let mut plain = trainer(&device, config.clone()).await;
                let mut tested = trainer(&device, config).await;
                train_some(&mut plain, 1).await;
                train_some(&mut tested, 1).await;
                let before = tested.checkpoint().await.unwrap();
                let test = RateTest::new().rates(1e-5, 1e5).updates(60).smoothing(0.5);
                let curve = tested.find_rate(&test).await.unwrap();
                let points = &curve.points;
                assert!(
                    (30..60).contains(&points.len()),
                    "{device}: {}",
                    points.len()
                );
                assert!(points.windows(2).all(|near| near[0].rate < near[1].rate));
                assert_eq!(points[0].rate, 1e-5);
                let suggested = curve.suggestion.unwrap();
                assert!(points.iter().any(|point| point.rate == suggested));
                assert!(tested.checkpoint().await.unwrap() == before, "{device}");
                for trainer in [&mut plain, &mut tested] {
                    trainer.train_epoch(|_| {}).await.unwrap();
                }
                let same = bits(&mut plain).await == bits(&mut tested).await;
                assert!(same, "{device}: other bits after a test");
            });
        }
    }
}
