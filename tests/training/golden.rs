//! Every op, and 200 training steps of three networks, against PyTorch in double precision
//! (`scripts/golden.py` made the values).

use crate::common;
use safetensors::SafeTensors;
use wgrad::nn::{Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, Training};
use wgrad::ops::Args;
use wgrad::ops::case::Floats;
use wgrad::verify::cases;
use wgrad::{Device, Loss, Reduction, Session, Sgd};

struct Golden {
    name: &'static str,
    model: Sequential,
    batch_size: usize,
    loss: Loss,
    optimizer: Sgd,
}

fn tutorial() -> Golden {
    Golden {
        name: "tutorial",
        model: common::tutorial_model(),
        batch_size: 32,
        loss: Loss::Mse(Reduction::Mean),
        optimizer: Sgd::new(0.01),
    }
}

/// Uneven kernels, strides and paddings, overlapping pools, a convolution behind another one, layers
/// without bias, momentum and weight decay.
fn uneven() -> Golden {
    let model = Sequential::new()
        .with(Conv2d::new(1, 3, (3, 2)).stride((2, 1)).padding((1, 0)))
        .with(ReLU)
        .with(MaxPool2d::new((3, 2)).stride((1, 2)).padding((1, 0)))
        .with(
            Conv2d::new(3, 5, (2, 3))
                .stride((1, 2))
                .padding((0, 2))
                .bias(false),
        )
        .with(ReLU)
        .with(MaxPool2d::new(3).stride(2).padding(1))
        .with(Flatten)
        .with(Linear::new(16).in_features(140).bias(false))
        .with(ReLU)
        .with(Linear::new(10));
    Golden {
        name: "uneven",
        model,
        batch_size: 24,
        loss: Loss::CrossEntropy,
        optimizer: Sgd::new(0.01).momentum(0.9).weight_decay(0.01),
    }
}

/// Strides instead of pools, and the other reduction of MSE.
fn strided() -> Golden {
    let model = Sequential::new()
        .with(Conv2d::new(1, 4, 5).stride(2).padding(2))
        .with(ReLU)
        .with(Conv2d::new(4, 6, 3).stride(2).padding(1))
        .with(ReLU)
        .with(Flatten)
        .with(Linear::new(20))
        .with(ReLU)
        .with(Linear::new(10));
    Golden {
        name: "strided",
        model,
        batch_size: 16,
        loss: Loss::Mse(Reduction::BatchMean),
        optimizer: Sgd::new(0.01).weight_decay(0.001),
    }
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!(
        "{}/tests/golden/{name}.safetensors",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap()
}

/// The relative error of the loss of each of 200 steps.
fn errors(device: &Device, golden: &Golden) -> Vec<f64> {
    let bytes = file(golden.name);
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let data = |name: &str| tensors.tensor(name).unwrap().data();
    let order: Vec<i32> = bytemuck::pod_collect_to_vec(data("order"));
    let losses: Vec<f64> = bytemuck::pod_collect_to_vec(data("losses"));
    let mnist = wgrad::data::load_mnist(common::MNIST).unwrap();
    let training = Training {
        sample: mnist.sample.clone(),
        batch_size: golden.batch_size,
        loss: golden.loss,
        optimizer: golden.optimizer,
        dataset: None,
        accumulate: true,
    };
    wgrad::block_on(async {
        let mut session = Session::new(device, &golden.model, &training, 0)
            .await
            .unwrap();
        // PyTorch names a parameter by its layer's place: `4.weight`.
        let layers = session.plan().layers().to_vec();
        for (place, layer) in layers.iter().enumerate() {
            for kind in ["weight", "bias"] {
                let ours = format!("{}.{kind}", layer.name);
                if session.plan().find(&ours).is_ok() {
                    let values = data(&format!("{place}.{kind}"));
                    let values: Vec<f32> = bytemuck::pod_collect_to_vec(values);
                    session.write(&ours, &values).unwrap();
                }
            }
        }
        let mut errors = Vec::new();
        for (rows, expected) in order.chunks(golden.batch_size).zip(losses) {
            let pixels = rows.iter().flat_map(|&row| {
                let image = &mnist.train.images[row as usize * 784..][..784];
                image.iter().map(|&byte| f32::from(byte) / 255.0)
            });
            let images: Vec<f32> = pixels.collect();
            let labels = rows
                .iter()
                .map(|&row| mnist.train.labels[row as usize].into());
            let labels: Vec<u32> = labels.collect();
            session.set_batch(&images, &labels).unwrap();
            session.forward().unwrap();
            let loss = session.loss().await.unwrap();
            session.backward().unwrap();
            session.step().unwrap();
            session.zero_grad().unwrap();
            let error = (loss - expected).abs() / expected;
            assert!(error.is_finite(), "{}: a loss of {loss}", golden.name);
            errors.push(error);
        }
        errors
    })
}

/// A loss of ten steps passes some twenty ops, each of relative error ε = 6e-8 or a few times that
/// (sums of up to 676 terms of mixed sign), and the parameters, of magnitude one, are rounded to ε
/// at each step. Errors of a few ε remain where they add like noise; 1e-6 is sixteen of them.
const FIRST_TEN: f64 = 1e-6;

/// Over 200 steps the parameters' roundings add up, like noise, to √200·ε ≈ 1e-6, and descent, whose
/// curvature times learning rate is below one here, does not blow them up; now and then a value near
/// a kink falls on its other side, which moves a gradient by about itself times ε. Ten times that.
const ALL: f64 = 1e-5;

fn check(device: &Device) {
    for golden in [tutorial(), uneven(), strided()] {
        let errors = errors(device, &golden);
        assert_eq!(errors.len(), 200);
        let worst = |steps: usize| errors[..steps].iter().fold(0f64, |worst, &e| worst.max(e));
        let (ten, all) = (worst(10), worst(200));
        println!(
            "{} on {device}: 10 steps {ten:.1e}, 200 steps {all:.1e}",
            golden.name
        );
        assert!(
            ten < FIRST_TEN,
            "{}: losses of ten steps differ by {ten:e}",
            golden.name
        );
        assert!(
            all < ALL,
            "{}: losses of 200 steps differ by {all:e}",
            golden.name
        );
    }
}

#[test]
fn gpu_trains_as_pytorch_does() {
    let Some(device) = common::gpu() else { return };
    check(&device);
}

#[test]
fn cpu_reference_trains_as_pytorch_does() {
    check(&Device::cpu());
}

/// Outputs that hold integers.
const INTEGERS: [&str; 3] = ["indices", "batch_labels", "correct"];

/// The reference is held to 1e-6 of each value. Where a sum cancels it may be off by a rounding of f64
/// for each term; where a result is subnormal in f32, by half the distance of two such.
#[test]
fn cpu_reference_computes_every_op_as_pytorch_does() {
    let bytes = file("ops");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let checksums = header.metadata().clone().unwrap();
    let cases = cases(0, 4, Floats::Hostile);
    assert_eq!(
        cases.len(),
        checksums.len(),
        "run scripts/golden.py: the list of ops has changed"
    );
    let mut worst = 0f64;
    for (name, mut case) in cases {
        let mut checksum = flate2::Crc::new();
        for words in case.inputs.iter().chain(&case.outputs) {
            checksum.update(bytemuck::cast_slice(words));
        }
        assert_eq!(
            checksums.get(&name),
            Some(&checksum.sum().to_string()),
            "{name}: run scripts/golden.py: the case has changed"
        );
        case.op.reference(&mut Args {
            inputs: case.inputs.iter().map(Vec::as_slice).collect(),
            outputs: case.outputs.iter_mut().map(Vec::as_mut_slice).collect(),
            step: &case.step,
        });
        for ((binding, _), words) in case.op.bindings().outputs.iter().zip(&case.outputs) {
            let expected = tensors.tensor(&format!("{name}.{binding}")).unwrap();
            let expected: Vec<f64> = bytemuck::pod_collect_to_vec(expected.data());
            assert_eq!(expected.len(), words.len(), "{name}.{binding}");
            let largest = expected
                .iter()
                .fold(0f64, |largest, e| largest.max(e.abs()));
            for (at, (&word, expected)) in words.iter().zip(expected).enumerate() {
                let got = match INTEGERS.contains(binding) {
                    true => f64::from(word),
                    false => f64::from(f32::from_bits(word)),
                };
                assert!(got.is_finite(), "{name}.{binding}[{at}]: {got}");
                let negligible = 1e-15 * largest + f64::from(f32::from_bits(1));
                let error = ((got - expected).abs() - negligible).max(0.0);
                let relative = if error == 0.0 {
                    0.0
                } else {
                    error / expected.abs()
                };
                assert!(
                    relative < 1e-6,
                    "{name}.{binding}[{at}]: expected {expected:e}, got {got:e}"
                );
                worst = worst.max(relative);
            }
        }
    }
    println!("largest relative error of the reference: {worst:.1e}");
}
