//! Ten training steps against PyTorch in double precision (`scripts/golden.py` made the values).

mod common;

use safetensors::SafeTensors;
use wgrad::nn::{Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, Training};
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
        optimizer: Sgd::new(0.05).momentum(0.9).weight_decay(0.01),
    }
}

/// The largest relative error of a loss, and the largest error of a trained parameter.
fn errors(device: &Device, golden: &Golden) -> (f64, f64) {
    let path = format!(
        "{}/tests/golden/{}.safetensors",
        env!("CARGO_MANIFEST_DIR"),
        golden.name
    );
    let bytes = std::fs::read(path).unwrap();
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
        let mut names = Vec::new();
        for (place, layer) in session.plan().layers().iter().enumerate() {
            for kind in ["weight", "bias"] {
                if session
                    .plan()
                    .find(&format!("{}.{kind}", layer.name))
                    .is_ok()
                {
                    names.push((format!("{}.{kind}", layer.name), format!("{place}.{kind}")));
                }
            }
        }
        for (ours, theirs) in &names {
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(data(theirs));
            session.write(ours, &values).unwrap();
        }
        let mut loss_error = 0f64;
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
            loss_error = loss_error.max((loss - expected).abs() / expected);
        }
        let mut parameter_error = 0f64;
        for (ours, theirs) in &names {
            let expected: Vec<f64> =
                bytemuck::pod_collect_to_vec(data(&format!("trained.{theirs}")));
            for (got, expected) in session.read(ours).await.unwrap().iter().zip(expected) {
                parameter_error = parameter_error.max((f64::from(*got) - expected).abs());
            }
        }
        (loss_error, parameter_error)
    })
}

/// A loss of ten steps passes some twenty ops, each of relative error ε = 6e-8 or a few times that
/// (sums of up to 676 terms of mixed sign), and the parameters, of magnitude one, are rounded to ε
/// at each step. Errors of a few ε remain where they add like noise; 1e-6 is sixteen of them. A wrong
/// gradient of one element in ten thousand shows up above that.
const BOUND: f64 = 1e-6;

fn check(device: &Device) {
    for golden in [tutorial(), uneven()] {
        let (loss, parameter) = errors(device, &golden);
        println!(
            "{} on {device}: loss {loss:.1e}, parameters {parameter:.1e}",
            golden.name
        );
        assert!(loss < BOUND, "{}: losses differ by {loss:e}", golden.name);
        assert!(
            parameter < BOUND,
            "{}: parameters differ by {parameter:e}",
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
