//! Checkpoints: loading returns what was saved, training continues with the same bits, damage is
//! detected.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::common;
use proptest::prelude::*;
use wgrad::nn::{Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, Ties};
use wgrad::plan::Port;
use wgrad::{Checkpoint, Config, Device, Loss, Sgd, Trainer};

fn model() -> Sequential {
    Sequential::new()
        .with(Conv2d::new(2, 3, (3, 2)).stride((1, 2)).padding(1))
        .with(ReLU)
        .with(MaxPool2d::new(2).ties(Ties::All))
        .with(Flatten)
        .with(Linear::new(4).bias(false))
}

fn config() -> Config {
    Config::new(Loss::CrossEntropy, Sgd::new(0.05).momentum(0.9))
        .batch_size(8)
        .seed(5)
        .planning(wgrad::Planning::Fused(wgrad::tune::Effort::Off))
}

pub(super) async fn trainer(device: &Device) -> Trainer {
    let data = common::random_data(8003, 0);
    Trainer::new(device, &model(), &data, config())
        .await
        .unwrap()
}

pub(super) async fn bits(trainer: &mut Trainer) -> Vec<u32> {
    let arena = trainer.plan().port(Port::Parameters).unwrap();
    trainer.executor().read_words(arena).await.unwrap()
}

pub(super) fn checksum(words: &[u32]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytemuck::cast_slice(words));
    crc.sum()
}

/// Trains until at least `samples` samples of the epoch have been seen.
pub(super) async fn train_some(trainer: &mut Trainer, samples: u64) {
    let stop = |progress: &wgrad::Progress| match progress.samples >= samples {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    trainer.train_until(stop).await.unwrap();
}

pub(super) fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

pub(super) fn devices() -> Vec<Device> {
    common::gpu().into_iter().chain([Device::cpu()]).collect()
}

#[test]
fn training_resumed_within_an_epoch_gives_the_same_bits() {
    for device in devices() {
        wgrad::block_on(async {
            let mut whole = trainer(&device).await;
            for _ in 0..3 {
                whole.train_epoch(|_| {}).await.unwrap();
            }
            let expected = bits(&mut whole).await;

            let mut first = trainer(&device).await;
            first.train_epoch(|_| {}).await.unwrap();
            train_some(&mut first, 1).await;
            assert!(
                first.is_within_epoch(),
                "the epoch was too short to be stopped"
            );
            let path = scratch("resume.safetensors");
            first.checkpoint().await.unwrap().save(&path).unwrap();
            // Progress after the checkpoint is lost, as in a crash.
            first.train_epoch(|_| {}).await.unwrap();

            let mut second = trainer(&device).await;
            second.restore(&Checkpoint::load(&path).unwrap()).unwrap();
            assert_eq!(second.epochs(), 1);
            while second.epochs() < 3 {
                second.train_epoch(|_| {}).await.unwrap();
            }
            let found = bits(&mut second).await;
            let (expected_sum, found_sum) = (checksum(&expected), checksum(&found));
            println!("{device}: {expected_sum:08x} in one go, {found_sum:08x} with a resume");
            assert!(found == expected, "{device}: other bits after a resume");
        });
    }
}

#[test]
fn tensors_have_pytorchs_names_and_shapes() {
    wgrad::block_on(async {
        let trainer = trainer(&Device::cpu()).await;
        let checkpoint = trainer.checkpoint().await.unwrap();
        let tensors = checkpoint.tensors.iter();
        let found: Vec<String> = tensors
            .map(|(name, (shape, _))| format!("{name} {shape}"))
            .collect();
        assert_eq!(
            found,
            [
                "0.bias (3)",
                "0.weight (3, 2, 3, 2)",
                "4.weight (4, 54)",
                "optimizer.velocity.0.bias (3)",
                "optimizer.velocity.0.weight (3, 2, 3, 2)",
                "optimizer.velocity.4.weight (4, 54)",
            ]
        );
        assert_eq!(checkpoint.metadata["model"], trainer.graph().to_string());
    });
}

#[test]
fn checkpoints_that_do_not_match_are_refused_by_name() {
    wgrad::block_on(async {
        let mut trainer = trainer(&Device::cpu()).await;
        let checkpoint = trainer.checkpoint().await.unwrap();
        // Train first, so that a partially applied checkpoint would show.
        trainer.train_epoch(|_| {}).await.unwrap();
        let before = bits(&mut trainer).await;
        let mut refuse = |change: &dyn Fn(&mut Checkpoint), expected: &str| {
            let mut changed = checkpoint.clone();
            change(&mut changed);
            assert_eq!(trainer.restore(&changed).unwrap_err().to_string(), expected);
        };
        let set = |key: &'static str, value: &'static str| {
            move |c: &mut Checkpoint| {
                c.metadata.insert(key.to_owned(), value.to_owned());
            }
        };
        refuse(&set("seed", "6"), "checkpoint's seed: expected 5, got 6");
        refuse(
            &set("model", "Flatten\nLinear(10)"),
            "checkpoint's model: expected images (2, 12, 11); \
             0 = convolution(images, 0.weight, 0.bias) kernel 3×2, stride 1×2, padding 1×1; 1 = relu(0); \
             2 = max_pool(1) kernel 2×2, stride 2×2, padding 0×0, ties all; 3 = flatten(2); \
             4 = linear(3, 4.weight), got Flatten; Linear(10)",
        );
        refuse(
            &set("step", "-1"),
            "checkpoint's step: expected a number, got `-1`",
        );
        refuse(
            &set("step", "1001"),
            "checkpoint's step: expected below 1001, got 1001",
        );
        refuse(
            &|c| drop(c.metadata.remove("loss")),
            &format!("checkpoint's loss: expected {}, got nothing", config().loss),
        );
        refuse(
            &set("learning_rate", "NaN"),
            "checkpoint's learning rate: expected a finite number of at least 0, got NaN",
        );
        refuse(
            &|c| drop(c.tensors.remove("0.bias")),
            "checkpoint's 0.bias: expected (3), got no such tensor",
        );
        refuse(
            &|c| {
                drop(
                    c.tensors
                        .insert("0.bias".to_owned(), ([4].into(), vec![0.0; 4])),
                )
            },
            "checkpoint's 0.bias: expected (3), got (4)",
        );
        refuse(
            &|c| {
                drop(
                    c.tensors
                        .insert("9.bias".to_owned(), ([1].into(), vec![0.0])),
                )
            },
            "checkpoint's tensors: expected the 6 tensors of this trainer, got also 9.bias",
        );
        refuse(
            &|c| drop(c.tensors.remove("optimizer.velocity.0.bias")),
            "checkpoint's optimizer.velocity.0.bias: expected (3), got no such tensor",
        );
        assert!(
            bits(&mut trainer).await == before,
            "a refused checkpoint left traces"
        );
    });
}

/// A file written by PyTorch, whose metadata uses some of our keys, is saved and loaded again.
#[test]
fn a_checkpoint_of_another_program_is_saved_and_loaded() {
    let path = format!(
        "{}/tests/golden/torch_state.safetensors",
        env!("CARGO_MANIFEST_DIR")
    );
    let mut checkpoint = Checkpoint::load(path).unwrap();
    checkpoint
        .metadata
        .insert("crc32".to_owned(), "another's".to_owned());
    let again = scratch("again.safetensors");
    checkpoint.save(&again).unwrap();
    assert_eq!(
        Checkpoint::load(&again).unwrap().tensors,
        checkpoint.tensors
    );
}

fn small_file() -> Vec<u8> {
    let path = scratch(&format!(
        "small-{:?}.safetensors",
        std::thread::current().id()
    ));
    let mut checkpoint = Checkpoint::default();
    checkpoint
        .tensors
        .insert("0.weight".to_owned(), ([2, 3].into(), vec![1.0; 6]));
    checkpoint
        .metadata
        .insert("model".to_owned(), "ReLU".to_owned());
    checkpoint.save(&path).unwrap();
    std::fs::read(&path).unwrap()
}

fn load(name: &str, bytes: &[u8]) -> Result<Checkpoint, String> {
    let path = scratch(name);
    std::fs::write(&path, bytes).unwrap();
    Checkpoint::load(&path).map_err(|error| {
        let error = error.to_string();
        assert!(
            error.starts_with(&path.display().to_string()) && !error.contains('\n'),
            "{error}"
        );
        error
    })
}

#[test]
fn every_flipped_bit_and_every_truncation_is_detected() {
    let bytes = small_file();
    assert!(load("damaged", &bytes).is_ok());
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        // A header space changed to other whitespace has the same meaning.
        if let Ok(loaded) = load("damaged", &damaged) {
            assert_eq!(Ok(loaded), load("undamaged", &bytes), "byte {at}");
        }
        assert!(load("damaged", &bytes[..at]).is_err(), "cut at {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn hostile_checkpoints_are_errors(mut bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..200, kind in 0..3) {
        if kind > 0 {
            // A valid file with a part replaced.
            let mut file = small_file();
            let at = cut.min(file.len());
            let end = (at + bytes.len() / 8).min(file.len());
            file.splice(at..end, bytes.drain(..).take(8));
            bytes = file;
        }
        let loaded = load("hostile", &bytes);
        prop_assert!(loaded.is_err() || loaded == load("true", &small_file()));
    }
}

/// PyTorch's state_dict gives PyTorch's logits. For the other direction there is
/// `scripts/torch_exchange.py check`.
#[test]
fn weights_are_exchanged_with_pytorch() {
    let golden = |name: &str| {
        let path = format!(
            "{}/tests/golden/{name}.safetensors",
            env!("CARGO_MANIFEST_DIR")
        );
        Checkpoint::load(path).unwrap()
    };
    let data = wgrad::data::load_mnist(common::MNIST).unwrap();
    let eight = wgrad::data::Samples {
        images: data.test.images[..8 * 784].to_vec(),
        labels: data.test.labels[..8].to_vec(),
    };
    let none = wgrad::data::Samples::default();
    let data = wgrad::data::Dataset::new([1, 28, 28], 10, eight, none).unwrap();
    for device in devices() {
        wgrad::block_on(async {
            let model = common::tutorial_model();
            let config = config().shuffle(false);
            let mut trainer = Trainer::new(&device, &model, &data, config).await.unwrap();
            let logits = |trainer: &Trainer| trainer.plan().port(Port::Logits).unwrap();
            trainer.load_parameters(&golden("torch_state")).unwrap();
            trainer.evaluate(wgrad::Split::Train).await.unwrap();
            let tensor = logits(&trainer);
            let found = trainer.executor().read(tensor).await.unwrap();
            let (_, expected) = &golden("torch_logits").tensors["logits"];
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-5,
                    "{device}: {found} {expected}"
                );
            }

            for _ in 0..3 {
                trainer.train_epoch(|_| {}).await.unwrap();
            }
            trainer.evaluate(wgrad::Split::Train).await.unwrap();
            let trained = trainer.executor().read(tensor).await.unwrap();
            trainer
                .checkpoint()
                .await
                .unwrap()
                .save(scratch("exchange.safetensors"))
                .unwrap();
            let mut saved = Checkpoint::default();
            saved
                .tensors
                .insert("logits".to_owned(), ([8, 10].into(), trained));
            saved.save(scratch("exchange_logits.safetensors")).unwrap();
        });
    }
}
