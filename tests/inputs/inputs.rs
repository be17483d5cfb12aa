//! Every user error is reported in one line: what, where, expected, got.

use crate::common;
use wgrad::data::{Dataset, Samples};
use wgrad::graph::Graph;
use wgrad::nn::{Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, Training};
use wgrad::{Config, Device, Loss, Reduction, Session, Sgd, Trainer};

fn training(sample: impl Into<wgrad::shape::Shape>) -> Training {
    Training::new(sample, Loss::Mse(Reduction::Mean), Sgd::new(0.1))
        .batch_size(8)
        .accumulate(false)
}

fn lowering_error(model: Sequential, training: &Training) -> String {
    let plan = Graph::training(&model, training).and_then(|graph| graph.readable());
    let error = plan.unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

/// An extent whose square does not fit in 64 bits.
const HUGE: usize = 10_000_000_000;

#[test]
fn shapes_that_do_not_fit_name_the_layer_and_both_shapes() {
    let image = training([1, 28, 28]);
    let classify = |model: Sequential| model.with(Flatten).with(Linear::new(10));
    for (model, expected) in [
        (
            classify(Sequential::new().with(Conv2d::new(3, 4, 3))),
            "0: Conv2d(3 → 4, 3×3): expected (N, 3, H, W), got (8, 1, 28, 28)",
        ),
        (
            classify(
                Sequential::new()
                    .with(Conv2d::new(1, 4, 3))
                    .with(Conv2d::new(4, 4, (27, 3))),
            ),
            "1: Conv2d(4 → 4, 27×3): expected a plane of at least 27×3 with a padding of 0×0 on \
             each side, got a plane of 26×26",
        ),
        (
            classify(Sequential::new().with(Conv2d::new(1, 4, 3).stride((1, 0)))),
            "0: Conv2d(1 → 4, 3×3, stride 1×0): stride: expected at least 1×1, got 1×0",
        ),
        (
            classify(Sequential::new().with(Conv2d::new(1, 4, 3).dilation((0, 1)))),
            "0: Conv2d(1 → 4, 3×3, dilation 0×1): dilation: expected at least 1×1, got 0×1",
        ),
        (
            classify(
                Sequential::new().with(Conv2d::new(1, 4, 3).dilation((2, 15)).padding((0, 1))),
            ),
            "0: Conv2d(1 → 4, 3×3, padding 0×1, dilation 2×15): expected a plane of at least 5×31 with a \
             padding of 0×1 on each side, got a plane of 28×28",
        ),
        (
            classify(Sequential::new().with(Conv2d::new(1, 4, HUGE).padding(HUGE))),
            "0: Conv2d(1 → 4, 10000000000×10000000000, padding 10000000000×10000000000): kernel: \
             expected at most 2147483648×2147483648, got 10000000000×10000000000",
        ),
        (
            classify(Sequential::new().with(Conv2d::new(1, usize::MAX, 3))),
            "0.weight: expected 1 to 2147483648 elements, got (18446744073709551615, 1, 3, 3), \
             18446744073709551615 elements",
        ),
        (
            classify(Sequential::new().with(Conv2d::new(1, 0, 3))),
            "0: Conv2d(1 → 0, 3×3): channels: expected at least 1, got 0",
        ),
        (
            classify(Sequential::new().with(MaxPool2d::new(2).padding((0, 2)))),
            "0: MaxPool2d(2×2, padding 0×2): padding: expected at most half the kernel of \
             2×2, got 0×2",
        ),
        (
            Sequential::new()
                .with(Flatten)
                .with(Linear::new(32))
                .with(Linear::new(10).in_features(31)),
            "2: Linear(31 → 10): expected (N, 31), got (8, 32)",
        ),
        (
            Sequential::new().with(Linear::new(10)),
            "0: Linear(10): expected (N, I), got (8, 1, 28, 28)",
        ),
        (
            Sequential::new().with(Linear::new(0)),
            "0: Linear(0): features: expected at least 1, got 0",
        ),
        (
            Sequential::new().with(Conv2d::new(1, 4, 3)),
            "loss: MSE (mean over batch and classes): expected logits (N, classes), or a target of another kind, got (8, 4, 26, 26)",
        ),
        (
            Sequential::new().with(Flatten).with(ReLU),
            "model: expected at least one layer with parameters, got none",
        ),
    ] {
        assert_eq!(lowering_error(model, &image), expected);
    }
}

#[test]
fn options_out_of_range_are_named() {
    let model = || Sequential::new().with(Flatten).with(Linear::new(10));
    let image = training([1, 28, 28]);
    let trained_by = |sgd: Sgd| Training::new([1, 28, 28], Loss::CrossEntropy, sgd);
    for (training, expected) in [
        (
            image.clone().batch_size(0),
            "batch size: expected at least 1, got 0",
        ),
        (
            trained_by(Sgd::new(f32::NAN)),
            "learning rate: expected a finite number of at least 0, got NaN",
        ),
        (
            trained_by(Sgd::new(0.1).momentum(-1.0)),
            "momentum: expected a finite number of at least 0, got -1",
        ),
        (
            trained_by(Sgd::new(0.1).nesterov()),
            "Nesterov's momentum: expected above 0, got 0",
        ),
        (
            image.clone().batch_size(1 << 31),
            "images: expected 1 to 2147483648 elements, got (2147483648, 1, 28, 28), 1683627180032 elements",
        ),
        (
            image.clone().batch_size(usize::MAX),
            "images: expected 1 to 2147483648 elements, got (18446744073709551615, 1, 28, 28), \
             18446744073709551615 elements",
        ),
        (
            training([1, 0, 28]),
            "images: expected 1 to 2147483648 elements, got (8, 1, 0, 28), 0 elements",
        ),
    ] {
        assert_eq!(lowering_error(model(), &training), expected);
    }
}

#[test]
fn plans_beyond_the_adapters_limits_are_refused_by_name() {
    let Some(device) = common::gpu() else { return };
    let model = Sequential::new().with(Flatten).with(Linear::new(10));
    let training = training([1, 28, 28]).batch_size(1_500_000);
    let plan = Graph::training(&model, &training)
        .unwrap()
        .readable()
        .unwrap();
    let limited = device.clone().with_limits(wgrad::wgpu::Limits::default());
    let error = wgrad::block_on(limited.load(plan)).unwrap_err().to_string();
    let name = device.adapter().unwrap().name();
    assert!(
        error.starts_with(&format!(
            "images: needs 4704000000 bytes, but {name} offers "
        )),
        "{error}"
    );
}

#[test]
fn batches_that_do_not_fit_are_refused() {
    let model = Sequential::new().with(Linear::new(3));
    wgrad::block_on(async {
        let mut session = Session::new(&Device::cpu(), &model, &training([2]), 0)
            .await
            .unwrap();
        for (images, labels, expected) in [
            (vec![], vec![], "batch: expected 1 to 8 rows, got 0"),
            (
                vec![0.0; 18],
                vec![0; 9],
                "batch: expected 1 to 8 rows, got 9",
            ),
            (
                vec![0.0; 3],
                vec![0; 2],
                "batch images: expected 4 values, 2 rows of 2, got 3",
            ),
            (vec![0.0; 4], vec![0, 3], "label: expected below 3, got 3"),
        ] {
            assert_eq!(
                session.set_batch(&images, &labels).unwrap_err().to_string(),
                expected
            );
        }
        let error = session.read("1.weight").await.unwrap_err().to_string();
        assert_eq!(
            error,
            "tensor: expected one of 0.weight, 0.d_weight, 0.bias, 0.d_bias, images, labels, 0.product, \
             0.output, logits, loss.row_loss, loss.d_logits, \
             metrics.loss_sum, metrics.correct, parameters, gradients, got `1.weight`"
        );
        let error = session.read("labels").await.unwrap_err().to_string();
        assert_eq!(
            error,
            "reading labels as floats: expected a tensor of floats, got one of 32-bit integers"
        );
        let error = session.write("0.weight", &[0.0]).unwrap_err().to_string();
        assert_eq!(error, "writing 0.weight: expected 6 words, got 1 words");
    });
}

#[test]
fn data_sets_that_do_not_fit_are_refused() {
    let samples = |pixels, labels: &[u8]| Samples {
        images: vec![0; pixels],
        labels: labels.to_vec(),
    };
    let new = |train, test| Dataset::new([1, 2, 2], 3, train, test);
    for (train, test, expected) in [
        (
            samples(0, &[]),
            samples(0, &[]),
            "training set: expected at least 1 sample, got 0",
        ),
        (
            samples(7, &[0, 1]),
            samples(0, &[]),
            "training set: expected 8 bytes of images, 2 of (1, 2, 2), got 7 bytes",
        ),
        (
            samples(8, &[0, 1]),
            samples(4, &[3]),
            "test set: expected labels below 3, got 3 as label 0",
        ),
    ] {
        assert_eq!(new(train, test).unwrap_err().to_string(), expected);
    }
    let data = new(samples(8, &[0, 1]), samples(0, &[])).unwrap();
    let error = data.clone().with_train_len(3).unwrap_err().to_string();
    assert_eq!(error, "training images: expected 1 to 2, got 3");

    let config = Config::new(Loss::CrossEntropy, Sgd::new(0.1))
        .batch_size(2)
        .planning(wgrad::Planning::Fused(wgrad::tune::Effort::Off));
    wgrad::block_on(async {
        let four = Sequential::new().with(Flatten).with(Linear::new(4));
        let trainer = Trainer::new(&Device::cpu(), &four, &data, config.clone()).await;
        assert_eq!(
            trainer.unwrap_err().to_string(),
            "logits: expected (2, 3), a column for each class, got (2, 4)"
        );
        let three = Sequential::new().with(Flatten).with(Linear::new(3));
        let large = config.clone().batch_size(5);
        let trainer = Trainer::new(&Device::cpu(), &three, &data, large).await;
        assert_eq!(
            trainer.unwrap().notices(),
            ["batch size 5: a step computes that many rows, more than the training set's 2"]
        );
        let mut trainer = Trainer::new(&Device::cpu(), &three, &data, config)
            .await
            .unwrap();
        assert!(trainer.notices().is_empty());
        let error = trainer
            .evaluate(wgrad::Split::Test)
            .await
            .unwrap_err()
            .to_string();
        assert_eq!(error, "test set: expected at least 1 sample, got 0");
    });
}

#[test]
fn unknown_adapters_are_refused_with_a_list_of_known_ones() {
    let error = wgrad::block_on(Device::gpu(Some("no such card")))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("no adapter for `no such card`; found: "),
        "{error}"
    );
}

/// An id of a larger plan names no tensor here.
#[test]
fn tensors_of_another_plan_are_refused() {
    wgrad::block_on(async {
        let small = Sequential::new().with(Flatten).with(Linear::new(2));
        let large = Sequential::new()
            .with(Flatten)
            .with(Linear::new(3))
            .with(ReLU);
        let large = large.with(Linear::new(3)).with(ReLU).with(Linear::new(2));
        let training = training([1, 2, 2]);
        let session = |model| async {
            let model: Sequential = model;
            Session::new(&Device::cpu(), &model, &training, 0)
                .await
                .unwrap()
        };
        let (mut small, large) = (session(small).await, session(large).await);
        let last = &large.plan().tensors().last().unwrap().name;
        let last = large.plan().find(last).unwrap();
        let count = small.plan().tensors().len();
        let refused = [
            small.executor().write(last, &[0.0; 2]).unwrap_err(),
            small.executor().write_words(last, &[0; 2]).unwrap_err(),
            small.executor().read(last).await.unwrap_err(),
            small.executor().read_words(last).await.unwrap_err(),
        ];
        for error in refused {
            let error = error.to_string();
            let expected = format!("tensor: expected one of the plan's {count}, got number ");
            assert!(error.starts_with(&expected), "{error}");
        }
    });
}
