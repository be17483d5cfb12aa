//! Every op, and 200 training steps of four networks, against PyTorch in double precision (the
//! values are from `scripts/golden.py`).

use crate::common;
use safetensors::SafeTensors;
use wgrad::data::{Dataset, Samples};
use wgrad::nn::models::ResNet;
use wgrad::nn::{Conv2d, Flatten, Linear, MaxPool2d, Module, ReLU, Sequential, Training};
use wgrad::ops::case::Floats;
use wgrad::ops::{Args, Binding};
use wgrad::shape::Shape;
use wgrad::verify::cases;
use wgrad::{Checkpoint, Config, Device, Loss, Predictor, Reduction, Session, Sgd, Trainer};

struct Golden {
    name: &'static str,
    model: Box<dyn Module>,
    is_coloured: bool,
    batch_size: usize,
    loss: Loss,
    optimizer: Sgd,
}

fn tutorial() -> Golden {
    Golden {
        name: "tutorial",
        model: Box::new(common::tutorial_model()),
        is_coloured: false,
        batch_size: 32,
        loss: Loss::Mse(Reduction::Mean),
        optimizer: Sgd::new(0.01),
    }
}

/// Uneven kernels, strides and paddings, overlapping pools, two convolutions in series, layers
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
        model: Box::new(model),
        is_coloured: false,
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
        model: Box::new(model),
        is_coloured: false,
        batch_size: 16,
        loss: Loss::Mse(Reduction::BatchMean),
        optimizer: Sgd::new(0.01).weight_decay(0.001),
    }
}

/// ResNet-8 on images with three channels: shortcuts, projections, batch norm.
fn residual() -> Golden {
    Golden {
        name: "residual",
        model: Box::new(ResNet::new(3, 8, [3, 1], 10)),
        is_coloured: true,
        batch_size: 8,
        loss: Loss::CrossEntropy,
        optimizer: Sgd::new(0.002).momentum(0.9).weight_decay(0.001),
    }
}

/// The training images of `rows`. Coloured images have three channels: the image padded by two
/// zeros on each side, its transpose, and its mirror image.
pub(super) fn images(mnist: &Dataset, rows: &[i32], is_coloured: bool) -> Vec<f32> {
    let pixel = |row: i32, at: usize| {
        let byte = mnist.train.images[row as usize * 784 + at];
        f32::from(byte) / 255.0
    };
    let framed = |row: i32, y: usize, x: usize| {
        let inside = (2..30).contains(&y) && (2..30).contains(&x);
        if inside {
            pixel(row, (y - 2) * 28 + x - 2)
        } else {
            0.0
        }
    };
    let of_row = |&row: &i32| -> Vec<f32> {
        if !is_coloured {
            return (0..784).map(|at| pixel(row, at)).collect();
        }
        let at = (0..1024).map(|at| (at / 32, at % 32));
        let image = at.clone().map(|(y, x)| framed(row, y, x));
        let transpose = at.clone().map(|(y, x)| framed(row, x, y));
        let mirrored = at.map(|(y, x)| framed(row, y, 31 - x));
        image.chain(transpose).chain(mirrored).collect()
    };
    rows.iter().flat_map(of_row).collect()
}

fn floats(tensors: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    bytemuck::pod_collect_to_vec(tensors.tensor(name).unwrap().data())
}

pub(super) fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!(
        "{}/tests/golden/{name}.safetensors",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap()
}

/// With batch norm, the effect of rounding a parameter grows by a factor of about 1e5 over 200
/// steps, in double precision too. The golden file gives it as `apart`: the largest distance so far
/// between PyTorch's losses in f64 and those with parameters rounded to f32 after each step, over
/// three ways of rounding. Ours also rounds every activation, which adds noise of the same size in
/// each of the 20 functions that lead to a loss: √20 times as much. The tolerance is twice that.
const APART: f64 = 9.0;

/// The relative errors of the losses of 200 steps, beyond what [`APART`] allows.
fn errors(device: &Device, golden: &Golden) -> Vec<f64> {
    let bytes = file(golden.name);
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let data = |name: &str| tensors.tensor(name).unwrap().data();
    let order: Vec<i32> = bytemuck::pod_collect_to_vec(data("order"));
    let losses: Vec<f64> = bytemuck::pod_collect_to_vec(data("losses"));
    let apart = tensors.tensor("apart").ok();
    let apart: Option<Vec<f64>> = apart.map(|apart| bytemuck::pod_collect_to_vec(apart.data()));
    let mnist = wgrad::data::load_mnist(common::MNIST).unwrap();
    let sample = match golden.is_coloured {
        true => [3, 32, 32].into(),
        false => mnist.sample.clone(),
    };
    let training =
        Training::new(sample, golden.loss.clone(), golden.optimizer).batch_size(golden.batch_size);
    wgrad::block_on(async {
        let mut session = Session::new(device, golden.model.as_ref(), &training, 0)
            .await
            .unwrap();
        let names: Vec<String> = session
            .plan()
            .parameters()
            .map(|(_, t)| t.name.clone())
            .collect();
        for name in names {
            session.write(&name, &floats(&tensors, &name)).unwrap();
        }
        let mut errors = Vec::new();
        for (rows, expected) in order.chunks(golden.batch_size).zip(losses) {
            let images = images(&mnist, rows, golden.is_coloured);
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
            let allowed = apart
                .as_ref()
                .map_or(0.0, |apart| APART * apart[errors.len()]);
            let error = ((loss - expected).abs() - allowed).max(0.0) / expected;
            assert!(error.is_finite(), "{}: a loss of {loss}", golden.name);
            errors.push(error);
        }
        errors
    })
}

/// The loss of each of the first ten steps goes through about twenty ops, each of relative error ε
/// = 6e-8 or a few times that (sums of up to 676 terms of mixed sign), and the parameters, of
/// magnitude one, are rounded to ε at each step. Adding up like noise, these leave an error of a
/// few ε; 1e-6 is sixteen ε.
const FIRST_TEN: f64 = 1e-6;

/// Over 200 steps the roundings of the parameters add up, like noise, to √200·ε ≈ 1e-6, and descent
/// does not amplify them, as curvature times learning rate is below one here. Occasionally a value
/// near a kink lands on its other side, which changes a gradient by about itself times ε. The
/// tolerance is ten times that.
const ALL: f64 = 1e-5;

fn check(device: &Device) {
    for golden in [tutorial(), uneven(), strided(), residual()] {
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

/// With PyTorch's state_dict of a residual network, the logits equal PyTorch's, both with batch
/// norm folded into the convolutions and without; the state goes back to PyTorch unchanged.
#[test]
fn a_residual_networks_state_is_exchanged_with_pytorch() {
    let bytes = file("residual");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let order: Vec<i32> = bytemuck::pod_collect_to_vec(tensors.tensor("order").unwrap().data());
    let expected: Vec<f64> = bytemuck::pod_collect_to_vec(tensors.tensor("logits").unwrap().data());
    let mnist = wgrad::data::load_mnist(common::MNIST).unwrap();
    let images = images(&mnist, &order[..8], true);
    let mut state = Checkpoint::default();
    for (name, view) in tensors.tensors() {
        let Some(name) = name.strip_prefix("state.") else {
            continue;
        };
        let shape = Shape::new(view.shape().to_vec());
        if name.ends_with("num_batches_tracked") {
            let counts = bytemuck::pod_collect_to_vec(view.data());
            state.integers.insert(name.to_owned(), (shape, counts));
        } else {
            let values = bytemuck::pod_collect_to_vec(view.data());
            state.tensors.insert(name.to_owned(), (shape, values));
        }
    }
    let golden = residual();
    let data = Dataset::new([3, 32, 32], 10, samples(16), samples(0)).unwrap();
    for device in [Some(Device::cpu()), common::gpu()].into_iter().flatten() {
        wgrad::block_on(async {
            let predictor = Predictor::new(&device, golden.model.as_ref(), [3, 32, 32], &state);
            let folded = predictor.unwrap().logits(&images).await.unwrap();

            let training = Training::new([3, 32, 32], golden.loss.clone(), golden.optimizer)
                .batch_size(8)
                .accumulate(false);
            let mut session = Session::new(&device, golden.model.as_ref(), &training, 0)
                .await
                .unwrap();
            for (name, (_, values)) in &state.tensors {
                session.write(name, values).unwrap();
            }
            session.set_batch(&images, &[0; 8]).unwrap();
            session.infer().unwrap();
            let unfolded = session.read("logits").await.unwrap();
            for (name, logits) in [("folded", folded), ("unfolded", unfolded)] {
                let errors = logits
                    .iter()
                    .zip(&expected)
                    .map(|(a, b)| (f64::from(*a) - b).abs());
                let worst = errors.fold(0f64, f64::max);
                println!("{device}, {name}: logits differ by {worst:.1e}");
                assert!(worst < 1e-5, "{device}, {name}: {worst:e}");
            }

            let config = Config::new(golden.loss.clone(), golden.optimizer).batch_size(8);
            let mut trainer = Trainer::new(&device, golden.model.as_ref(), &data, config)
                .await
                .unwrap();
            let notices = trainer.load_parameters(&state).unwrap();
            assert!(notices.is_empty(), "{notices:?}");
            let mut back = trainer.checkpoint().await.unwrap();
            back.tensors
                .retain(|name, _| !name.starts_with("optimizer."));
            assert_eq!(
                (back.tensors, back.integers),
                (state.tensors.clone(), state.integers.clone())
            );
        });
    }
}

fn samples(count: usize) -> Samples {
    Samples {
        images: vec![7; count * 3072],
        labels: vec![3; count],
    }
}

#[test]
fn gpu_trains_like_pytorch() {
    let Some(device) = common::gpu() else { return };
    check(&device);
}

#[test]
fn cpu_reference_trains_like_pytorch() {
    check(&Device::cpu());
}

/// Outputs that hold integers.
const INTEGERS: [&str; 6] = [
    "indices",
    "batch_labels",
    "gathered",
    "correct",
    "total",
    "batches",
];

/// The reference must be within 1e-6 of each value. In addition, cancelling sums may be off by one
/// f64 rounding per term, and results that are subnormal in f32 by half the distance between two
/// subnormals.
#[test]
fn cpu_reference_matches_pytorch_on_every_op() {
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
        for (Binding { name: binding, .. }, words) in
            case.op.bindings().outputs.iter().zip(&case.outputs)
        {
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
