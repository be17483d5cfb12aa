//! Data sets that the host streams to the device, and sources of one's own.

use super::checkpoints::{bits, devices, train_some};
use crate::common;
use wgrad::data::{Array, Data, Source, Target};
use wgrad::nn::{Dropout, Flatten, Linear, Sequential};
use wgrad::plan::{Element, Port};
use wgrad::tune::Effort;
use wgrad::{Adam, Config, Device, Error, Loss, Planning, Residency, Result, Sgd, Split, Trainer};

/// Samples computed when they are read: four bytes, and the class of the first.
#[derive(Debug, Clone)]
struct Computed {
    len: usize,
    /// The samples that cannot be read, from this one on.
    broken: u32,
    /// The class of every sample from this one on is out of range.
    mislabelled: u32,
}

impl Computed {
    fn new(len: usize) -> Self {
        Computed {
            len,
            broken: u32::MAX,
            mislabelled: u32::MAX,
        }
    }
}

impl Source for Computed {
    fn len(&self) -> usize {
        self.len
    }

    fn input(&self) -> Array {
        Array::new([4], Element::U8)
    }

    fn target(&self) -> Target {
        Target::class(3)
    }

    fn read(&self, samples: &[u32], inputs: &mut [u8], targets: &mut [u8]) -> Result<()> {
        let arrays = inputs.chunks_mut(4).zip(targets);
        for (&sample, (input, target)) in samples.iter().zip(arrays) {
            if sample >= self.broken {
                return Err(Error::value("disk", "a sample", format!("no {sample}")));
            }
            input.copy_from_slice(&sample.wrapping_mul(0x9e37_79b9).to_be_bytes());
            *target = input[0] / 86 + if sample >= self.mislabelled { 3 } else { 0 };
        }
        Ok(())
    }

    fn checksum(&self) -> Result<u32> {
        Ok(self.len as u32)
    }
}

fn config(residency: Residency) -> Config {
    Config::new(Loss::CrossEntropy, Adam::new(0.01))
        .batch_size(7)
        .seed(5)
        .planning(Planning::Fused(Effort::Off))
        .residency(residency)
}

fn small() -> Sequential {
    Sequential::new()
        .with(Linear::new(9))
        .with(Dropout::new(0.3))
        .with(Linear::new(3))
}

/// The bits of the parameters and the classes of both splits after three epochs, with a resume on the
/// way.
async fn outcome(trainer: &mut Trainer) -> (Vec<u32>, [Vec<usize>; 2], u64) {
    trainer.train_epoch(|_| {}).await.unwrap();
    let report = trainer.evaluate(Split::Test).await.unwrap();
    train_some(trainer, 1).await;
    let checkpoint = trainer.checkpoint().await.unwrap();
    trainer.train_epoch(|_| {}).await.unwrap();
    trainer.restore(&checkpoint).unwrap();
    // Where it stopped depends on the machine's speed: it may be the end of the epoch.
    while trainer.epochs() < 3 {
        trainer.train_epoch(|_| {}).await.unwrap();
    }
    let train = trainer.classes(Split::Train).await.unwrap();
    let test = trainer.classes(Split::Test).await.unwrap();
    (bits(trainer).await, [train, test], report.loss.to_bits())
}

#[test]
fn streaming_gives_the_bits_of_a_data_set_on_the_device() {
    let data = Data::new(Computed::new(2000)).test(Computed::new(123));
    for device in devices() {
        wgrad::block_on(async {
            let mut outcomes = Vec::new();
            for residency in [Residency::Device, Residency::Streamed] {
                let config = config(residency);
                let mut trainer = Trainer::new(&device, &small(), &data, config)
                    .await
                    .unwrap();
                let order = trainer.plan().port(Port::Order).unwrap();
                let held = trainer.plan().tensor(order).shape.elements();
                assert_eq!(
                    held < 2123,
                    residency == Residency::Streamed,
                    "{held} samples"
                );
                outcomes.push(outcome(&mut trainer).await);
            }
            assert!(
                outcomes[0] == outcomes[1],
                "{device}: other bits where streamed"
            );
        });
    }
}

/// In the first layer's kernel that reads the data set itself, too.
#[test]
fn streaming_gives_the_bits_of_a_convolution_that_reads_the_data_set() {
    let data = common::random_data(1000, 50);
    let model = common::built_in("uneven");
    let convolution = wgrad::nn::models::tutorial(1);
    let digits = common::random_digits(600);
    for device in devices() {
        for (model, data) in [(&*model, &data), (&convolution, &digits)] {
            wgrad::block_on(async {
                let mut found = Vec::new();
                for residency in [Residency::Device, Residency::Streamed] {
                    let config = Config::new(Loss::CrossEntropy, Sgd::new(0.01))
                        .batch_size(3)
                        .planning(Planning::Fused(Effort::Off))
                        .residency(residency);
                    let mut trainer = Trainer::new(&device, model, data, config).await.unwrap();
                    trainer.train_epoch(|_| {}).await.unwrap();
                    found.push(bits(&mut trainer).await);
                }
                assert!(found[0] == found[1], "{device}: other bits where streamed");
            });
        }
    }
}

#[test]
fn a_data_set_that_exceeds_the_adapter_is_streamed() {
    let Some(device) = common::gpu() else { return };
    let device = device.with_limits(wgrad::wgpu::Limits {
        max_storage_buffer_binding_size: 1 << 16,
        ..wgrad::wgpu::Limits::default()
    });
    // 80,000 bytes, of which the device binds 65,536.
    let data = Data::new(Computed::new(20_000));
    wgrad::block_on(async {
        let config = config(Residency::Auto);
        let mut trainer = Trainer::new(&device, &small(), &data, config)
            .await
            .unwrap();
        let report = trainer.train_epoch(|_| {}).await.unwrap();
        assert!(report.accuracy > 0.5, "{report:?}");
        let config = self::config(Residency::Device);
        let error = Trainer::new(&device, &small(), &data, config)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("dataset.images"), "{error}");
    });
}

#[test]
fn a_sample_that_cannot_be_read_ends_the_epoch_with_its_error() {
    let broken = Computed {
        broken: 1500,
        ..Computed::new(2000)
    };
    let mislabelled = Computed {
        mislabelled: 1990,
        ..Computed::new(2000)
    };
    let device = Device::cpu();
    wgrad::block_on(async {
        for (source, message) in [
            (broken, "disk: expected a sample, got no 1"),
            (mislabelled, "training set: expected labels below 3, got "),
        ] {
            let data = Data::new(source);
            let resident = config(Residency::Device);
            let error = Trainer::new(&device, &small(), &data, resident)
                .await
                .unwrap_err();
            assert!(error.to_string().starts_with(message), "{error}");
            let streamed = config(Residency::Streamed);
            let mut trainer = Trainer::new(&device, &small(), &data, streamed)
                .await
                .unwrap();
            let error = trainer.train_epoch(|_| {}).await.unwrap_err();
            assert!(error.to_string().starts_with(message), "{error}");
        }
    });
}

#[test]
fn sources_that_do_not_belong_together_are_refused() {
    #[derive(Debug)]
    struct Wide;
    impl Source for Wide {
        fn len(&self) -> usize {
            1
        }
        fn input(&self) -> Array {
            Array::new([5], Element::U8)
        }
        fn target(&self) -> Target {
            Target::class(3)
        }
        fn read(&self, _: &[u32], _: &mut [u8], _: &mut [u8]) -> Result<()> {
            Ok(())
        }
    }
    let refused = |data: Data| {
        let model = Sequential::new().with(Flatten).with(Linear::new(3));
        let device = Device::cpu();
        let new = Trainer::new(&device, &model, data, config(Residency::Auto));
        wgrad::block_on(new).unwrap_err().to_string()
    };
    assert_eq!(
        refused(Data::new(Computed::new(0))),
        "training set: expected at least 1 sample, got 0"
    );
    let text = refused(Data::new(Computed::new(10)).test(Wide));
    assert!(text.starts_with("test set: expected U8 (4)"), "{text}");
    assert!(text.contains("got U8 (5)"), "{text}");
}
