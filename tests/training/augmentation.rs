//! Random changes of training images, and normalisation.

use std::collections::HashMap;

use super::checkpoints::{bits, devices, train_some};
use crate::common;
use wgrad::data::{Data, Dataset, Samples};
use wgrad::graph::Graph;
use wgrad::nn::{Conv2d, Flatten, Linear, Normalize, ReLU, Sequential, Training};
use wgrad::ops::Step;
use wgrad::plan::{Phase, Port};
use wgrad::tune::Effort;
use wgrad::{
    Augmentation, Checkpoint, Config, Device, Loss, Planning, Predictor, Reduction, Residency, Sgd,
    Split, Trainer,
};

/// Every change at once.
fn all() -> Augmentation {
    Augmentation::new()
        .shift((2, 3))
        .flip()
        .rotation(20.0)
        .scale(0.8, 1.25)
        .contrast(0.3)
        .brightness(0.2)
        .cutout(3)
        .fill(40)
}

fn model() -> Sequential {
    Sequential::new()
        .with(Conv2d::new(2, 4, 3))
        .with(ReLU)
        .with(Flatten)
        .with(Linear::new(4))
}

fn config(augmentation: Augmentation) -> Config {
    Config::new(Loss::CrossEntropy, Sgd::new(0.05).momentum(0.9))
        .batch_size(6)
        .seed(9)
        .augmentation(augmentation)
        .planning(Planning::Fused(Effort::Off))
}

/// The batch that a step gathers from `data`, row by row.
fn gathered(
    device: &Device,
    data: &Dataset,
    augmentation: Augmentation,
    steps: &[Step],
) -> Vec<Vec<u32>> {
    let training = Training::new(data.sample.clone(), Loss::CrossEntropy, Sgd::new(0.1))
        .batch_size(6)
        .dataset(data.train.len())
        .augmentation(augmentation);
    let model = Sequential::new()
        .with(Flatten)
        .with(Linear::new(data.classes));
    let plan = Graph::training(&model, &training)
        .unwrap()
        .readable()
        .unwrap();
    wgrad::block_on(async {
        let mut executor = device.load(plan).await.unwrap();
        executor.initialise(0).unwrap();
        let plan = executor.plan().clone();
        let mut bytes = data.train.images.clone();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let mut labels = data.train.labels.clone();
        labels.resize(labels.len().next_multiple_of(4), 0);
        let order: Vec<u32> = (0..data.train.len() as u32).collect();
        for (port, words) in [
            (Port::DatasetImages, bytemuck::pod_collect_to_vec(&bytes)),
            (Port::DatasetTargets, bytemuck::pod_collect_to_vec(&labels)),
            (Port::Order, order),
        ] {
            executor
                .write_words(plan.port(port).unwrap(), &words)
                .unwrap();
        }
        let mut all = Vec::new();
        for step in steps {
            executor.run(&[Phase::Gather], &[*step]).unwrap();
            let images = plan.port(Port::Images).unwrap();
            all.push(executor.read_words(images).await.unwrap());
        }
        all
    })
}

fn steps(mix: u32) -> Vec<Step> {
    let step = |number: u32| Step::new(number * 6, 6 - number % 2, 0, 0.1);
    (0..3)
        .map(|number| step(number).at(2, number).seed(77).augmenting(mix))
        .collect()
}

#[test]
fn every_adapter_and_the_reference_change_images_alike() {
    let Some(device) = common::gpu() else { return };
    let data = common::random_data(20, 0);
    let single = [
        Augmentation::new().shift(2),
        Augmentation::new().flip(),
        Augmentation::new().rotation(180.0),
        Augmentation::new().scale(0.25, 4.0),
        Augmentation::new().contrast(1.0),
        Augmentation::new().brightness(1.0),
        Augmentation::new().cutout(4),
    ];
    let plain = gathered(&device, &data, Augmentation::new(), &steps(256));
    for augmentation in single.into_iter().chain([all()]) {
        for mix in [256, 100] {
            let [own, reference] = [&device, &Device::cpu()]
                .map(|device| gathered(device, &data, augmentation, &steps(mix)));
            assert!(own == reference, "{augmentation}, mix {mix}");
            assert!(own != plain, "{augmentation} changes nothing");
        }
        let evaluated: Vec<Step> = steps(256)
            .iter()
            .map(|s| Step::new(s.offset, s.rows, 0, 0.0))
            .collect();
        let own = gathered(&device, &data, augmentation, &evaluated);
        assert!(
            own == plain,
            "{augmentation} changes images of an evaluation"
        );
    }
}

/// Every shift occurs, about half of the images are flipped, and nothing else happens to them.
#[test]
fn shifts_and_flips_are_uniform() {
    let (height, width) = (5usize, 6usize);
    let images: Vec<u8> = (0..600 * height * width)
        .map(|i| (i % 251) as u8 + 1)
        .collect();
    let samples = Samples {
        labels: vec![0; 600],
        images,
    };
    let data = Dataset::new([1, height, width], 1, samples, Samples::default()).unwrap();
    let steps: Vec<Step> = (0..100u32)
        .map(|number| {
            Step::new(number * 6, 6, 0, 0.1)
                .at(0, number)
                .seed(5)
                .augmenting(256)
        })
        .collect();
    let found = gathered(
        &Device::cpu(),
        &data,
        Augmentation::new().crop(1).flip(),
        &steps,
    );
    let mut seen: HashMap<(i64, i64, bool), usize> = HashMap::new();
    for (number, batch) in found.iter().enumerate() {
        for (row, image) in batch.chunks(height * width).enumerate() {
            let first = (number * 6 + row) * height * width;
            let own = &data.train.images[first..first + height * width];
            let is = |&(dy, dx, flips): &(i64, i64, bool)| {
                (0..height as i64).all(|y| {
                    (0..width as i64).all(|x| {
                        let from = if flips { width as i64 - 1 - x } else { x } - dx;
                        let (sy, sx) = (y - dy, from);
                        let within =
                            (0..height as i64).contains(&sy) && (0..width as i64).contains(&sx);
                        let byte = if within {
                            own[(sy * width as i64 + sx) as usize]
                        } else {
                            0
                        };
                        let expected = f32::from(byte) * (1.0 / 255.0);
                        image[(y * width as i64 + x) as usize] == expected.to_bits()
                    })
                })
            };
            let mut changes = (-1..=1).flat_map(|dy| {
                (-1..=1).flat_map(move |dx| [false, true].map(|flips| (dy, dx, flips)))
            });
            let change = changes.find(is).expect("a shift and a flip");
            *seen.entry(change).or_default() += 1;
        }
    }
    // 600 images in 18 ways: 33 of each, give or take 5.6.
    assert_eq!(seen.len(), 18);
    assert!(
        seen.values().all(|&count| (11..60).contains(&count)),
        "{seen:?}"
    );
}

#[test]
fn augmented_training_resumes_and_streams_with_the_same_bits() {
    let data = common::random_data(200, 20);
    for device in devices() {
        for augmentation in [all(), Augmentation::new().crop(2).mixup(0.4)] {
            wgrad::block_on(async {
                let train = async |residency, stops: bool| {
                    let config = config(augmentation)
                        .residency(residency)
                        .normalization(Normalize::new([0.4, 0.6], [0.3, 0.2]));
                    let mut trainer = Trainer::new(&device, &model(), &data, config.clone())
                        .await
                        .unwrap();
                    train_some(&mut trainer, 1).await;
                    if stops {
                        let checkpoint = trainer.checkpoint().await.unwrap();
                        trainer = Trainer::new(&device, &model(), &data, config)
                            .await
                            .unwrap();
                        trainer.restore(&checkpoint).unwrap();
                    }
                    while trainer.epochs() < 2 {
                        trainer.train_epoch(|_| {}).await.unwrap();
                    }
                    let report = trainer.evaluate(Split::Test).await.unwrap();
                    (bits(&mut trainer).await, report.loss.to_bits())
                };
                let whole = train(Residency::Device, false).await;
                assert!(
                    train(Residency::Device, true).await == whole,
                    "{device}, {augmentation}"
                );
                assert!(
                    train(Residency::Streamed, true).await == whole,
                    "{device}, {augmentation}"
                );
            });
        }
    }
}

/// A model learns to tell its classes from images that are moved and mixed: each is bright in another
/// part of its rows.
#[test]
fn a_model_learns_from_changed_images() {
    let labels: Vec<u8> = (0..96).map(|sample| sample % 4).collect();
    let pixel = |at: usize| {
        let (sample, row) = (at / 264, at % 132 / 11);
        let noise = (at * 7919 % 61) as u8;
        noise + if row / 3 == sample % 4 { 150 } else { 0 }
    };
    let images = (0..96 * 264).map(pixel).collect();
    let data = Dataset::new(
        [2, 12, 11],
        4,
        Samples { images, labels },
        Samples::default(),
    );
    let data = data.unwrap();
    wgrad::block_on(async {
        let config = config(Augmentation::new().shift(1).mixup(1.0));
        let device = Device::cpu();
        let mut trainer = Trainer::new(&device, &model(), &data, config)
            .await
            .unwrap();
        for _ in 0..10 {
            trainer.train_epoch(|_| {}).await.unwrap();
        }
        let after = trainer.evaluate(Split::Train).await.unwrap();
        assert!(after.accuracy > 0.9, "{after:?}");
    });
}

#[test]
fn normalisation_is_part_of_checkpoints() {
    let data = common::random_data(60, 10);
    let of = Data::from(&data);
    let normalize = Normalize::of(of.train()).unwrap();
    // The first channel, directly.
    let pixels = 12 * 11;
    let own = data.train.images.chunks(pixels).step_by(2).flatten();
    let values: Vec<f64> = own.map(|&byte| f64::from(byte) / 255.0).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
    assert!((f64::from(normalize.means()[0]) - mean).abs() < 1e-6);
    assert!((f64::from(normalize.deviations()[0]) - variance.sqrt()).abs() < 1e-6);
    assert_eq!(of.train().len(), 60);

    for device in devices() {
        wgrad::block_on(async {
            let config = config(Augmentation::new().flip()).normalization(normalize.clone());
            let mut trainer = Trainer::new(&device, &model(), &data, config)
                .await
                .unwrap();
            trainer.train_epoch(|_| {}).await.unwrap();
            let expected = trainer.classes(Split::Test).await.unwrap();
            let path = super::checkpoints::scratch("normalized.safetensors");
            trainer.checkpoint().await.unwrap().save(&path).unwrap();
            let checkpoint = Checkpoint::load(&path).unwrap();
            assert_eq!(checkpoint.normalization().unwrap(), Some(normalize.clone()));
            let images = data.test.floats(0..10).unwrap();
            let mut from_text = Predictor::from_checkpoint(&device, &checkpoint).unwrap();
            assert_eq!(from_text.classes(&images).await.unwrap(), expected);
            let mut of_model = Predictor::new(&device, &model(), [2, 12, 11], &checkpoint).unwrap();
            assert_eq!(
                of_model.logits(&images).await.unwrap(),
                from_text.logits(&images).await.unwrap()
            );
        });
    }
}

#[test]
fn augmentations_that_cannot_be_are_refused() {
    let data = common::random_data(20, 0);
    let error = |config: Config| {
        let device = Device::cpu();
        let model = model();
        let new = Trainer::new(&device, &model, &data, config);
        wgrad::block_on(new).unwrap_err().to_string()
    };
    for (augmentation, message) in [
        (
            Augmentation::new().rotation(181.0),
            "augmentation's rotation: expected 0 to 180, got 181",
        ),
        (
            Augmentation::new().scale(0.1, 1.0),
            "augmentation's scale: expected 0.25 to 4, got 0.1",
        ),
        (
            Augmentation::new().scale(1.0, 0.5),
            "augmentation's largest scale: expected 1 to 4, got 0.5",
        ),
        (
            Augmentation::new().shift(13),
            "augmentation's shift: expected 0 to 12, got 13",
        ),
        (
            Augmentation::new().contrast(f64::NAN),
            "augmentation's contrast: expected 0 to 1, got NaN",
        ),
        (
            Augmentation::new().brightness(-0.1),
            "augmentation's brightness: expected 0 to 1, got -0.1",
        ),
    ] {
        assert_eq!(error(config(augmentation)), message);
    }
    let squares = Config::new(Loss::L1(Reduction::Mean), Sgd::new(0.1)).augmentation(all());
    assert!(error(squares).contains("expected numbers"));
    let normalize = config(all()).normalization(Normalize::new([0.5], [1.0]));
    let message = error(normalize);
    assert!(
        message.contains("means: expected 2, one for each channel"),
        "{message}"
    );
    let zero = config(all()).normalization(Normalize::new([0.5, 0.5], [1.0, 0.0]));
    assert!(error(zero).contains("numbers above 0"));

    // A checkpoint of other changes.
    wgrad::block_on(async {
        let device = Device::cpu();
        let new = async |augmentation| {
            Trainer::new(&device, &model(), &data, config(augmentation))
                .await
                .unwrap()
        };
        let mut checkpoint = new(all()).await.checkpoint().await.unwrap();
        let mut other = new(Augmentation::new()).await;
        let error = other.restore(&checkpoint).unwrap_err().to_string();
        assert!(
            error.starts_with("checkpoint's augmentation: expected none, got shift 2×3"),
            "{error}"
        );
        checkpoint.metadata.remove("augmentation");
        other.restore(&checkpoint).unwrap();
    });
}
