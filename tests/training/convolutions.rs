//! Grouped, depthwise, transposed and unevenly padded convolutions: against PyTorch in double
//! precision (the values are from `scripts/golden.py`), in predictions, as text, and their errors.

use super::graphs::training;
use crate::common;
use safetensors::SafeTensors;
use wgrad::graph::{Graph, Weights};
use wgrad::nn::{
    BatchNorm2d, Conv2d, ConvTranspose2d, Flatten, Linear, Module, ReLU, Sequential, Training,
};
use wgrad::plan::Element;
use wgrad::shape::Padding;
use wgrad::{Checkpoint, Device, Loss, Predictor, Session, Sgd, block_on};

fn devices() -> impl Iterator<Item = Device> {
    [Some(Device::cpu()), common::gpu()].into_iter().flatten()
}

/// A layer of `scripts/golden.py` between a convolution and a Linear layer.
fn around(layer: impl Module + 'static) -> Sequential {
    let before = Sequential::new().with(Conv2d::new(2, 4, 1));
    before.with(layer).with(Flatten).with(Linear::new(3))
}

fn golden() -> [(&'static str, Sequential); 6] {
    let transposed = |outputs, kernel: (usize, usize)| ConvTranspose2d::new(4, outputs, kernel);
    [
        (
            "same",
            around(Conv2d::new(4, 3, (2, 5)).padding_same().dilation((3, 1))),
        ),
        (
            "sides",
            around(
                Conv2d::new(4, 3, (3, 2))
                    .stride((2, 1))
                    .padding(Padding::sides(0, 2, 1, 3)),
            ),
        ),
        (
            "grouped",
            around(Conv2d::new(4, 6, 3).stride(2).padding(1).groups(2)),
        ),
        (
            "depthwise",
            around(
                Conv2d::new(4, 8, 3)
                    .padding((1, 0))
                    .dilation((1, 2))
                    .groups(4),
            ),
        ),
        (
            "transposed",
            around(
                transposed(3, (3, 4))
                    .stride((2, 3))
                    .padding((1, 2))
                    .output_padding((1, 0)),
            ),
        ),
        (
            "spread",
            around(
                transposed(6, (2, 3))
                    .stride((1, 2))
                    .dilation((3, 1))
                    .output_padding((2, 1))
                    .groups(2)
                    .bias(false),
            ),
        ),
    ]
}

/// Each value is a few sums of up to some hundred terms, whose roundings add up like noise to about
/// √300·ε = 1e-6 of the largest value; the tolerance is ten times that.
const TOLERANCE: f64 = 1e-5;

#[test]
fn convolutions_and_their_gradients_match_pytorch() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/convolutions.safetensors"
    );
    let bytes = std::fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let data = |name: &str| tensors.tensor(name).unwrap().data().to_vec();
    let floats = |name: &str| -> Vec<f32> { bytemuck::pod_collect_to_vec(&data(name)) };
    let labels: Vec<u32> = bytemuck::pod_collect_to_vec(&data("labels"));
    let training = Training::new([2, 7, 6], Loss::CrossEntropy, Sgd::new(0.1))
        .batch_size(3)
        .accumulate(false);
    for device in devices() {
        for (name, model) in golden() {
            block_on(async {
                let mut session = Session::new(&device, &model, &training, 0).await.unwrap();
                let plan = session.plan();
                let parameters: Vec<String> =
                    plan.parameters().map(|(_, t)| t.name.clone()).collect();
                for parameter in &parameters {
                    let values = floats(&format!("{name}.{parameter}"));
                    session.write(parameter, &values).unwrap();
                }
                session.set_batch(&floats("images"), &labels).unwrap();
                session.forward().unwrap();
                session.loss().await.unwrap();
                session.backward().unwrap();
                let gradients = parameters.iter().map(|parameter| {
                    let (layer, kind) = parameter.rsplit_once('.').unwrap();
                    format!("{layer}.d_{kind}")
                });
                for tensor in gradients.chain(["logits".to_owned()]) {
                    let found = session.read(&tensor).await.unwrap();
                    let bytes = data(&format!("{name}.{tensor}"));
                    let expected: Vec<f64> = bytemuck::pod_collect_to_vec(&bytes);
                    assert_eq!(found.len(), expected.len(), "{name}: {tensor}");
                    let largest = expected.iter().fold(0f64, |max, e| max.max(e.abs()));
                    let errors = found.iter().zip(&expected);
                    let errors = errors.map(|(f, e)| (f64::from(*f) - e).abs() / largest);
                    let worst = errors.fold(0f64, f64::max);
                    println!("{device}, {name}: {tensor} differs by {worst:.1e}");
                    assert!(worst < TOLERANCE, "{device}, {name}: {tensor}: {worst:e}");
                }
            });
        }
    }
}

/// Batch norm is folded into grouped and depthwise convolutions, not into transposed ones.
#[test]
fn batch_norm_after_grouped_convolutions_is_folded() {
    let model = Sequential::new()
        .with(Conv2d::new(4, 6, 3).padding_same().groups(2).bias(false))
        .with(BatchNorm2d::new(6))
        .with(ReLU)
        .with(Conv2d::new(6, 12, (2, 3)).padding_same().groups(6))
        .with(BatchNorm2d::new(12))
        .with(ReLU)
        .with(ConvTranspose2d::new(12, 4, 2).stride(2))
        .with(BatchNorm2d::new(4))
        .with(Flatten)
        .with(Linear::new(3));
    let graph = Graph::inference(&model, [4, 5, 4], 4).unwrap();
    let mut random = common::generator(9);
    let mut state = Checkpoint::default();
    let mut weights = Weights::new();
    for id in graph.values() {
        let value = graph.value(id);
        if !value.source.is_of_model() {
            continue;
        }
        let (name, shape) = (value.name.clone(), value.shape.clone());
        if name.ends_with("num_batches_tracked") {
            state
                .integers
                .insert(name.clone(), (shape.clone(), vec![1]));
            weights.insert(name, (shape, vec![1.0]));
            continue;
        }
        let mut values = common::floats(shape.elements(), &mut random);
        if name.ends_with("running_var") {
            values
                .iter_mut()
                .for_each(|value| *value = value.abs() + 0.5);
        }
        state
            .tensors
            .insert(name.clone(), (shape.clone(), values.clone()));
        weights.insert(name, (shape, values));
    }
    let folded = graph.fold(&mut weights).unwrap().to_string();
    let norms: Vec<&str> = folded
        .lines()
        .filter(|line| line.contains("batch_norm"))
        .collect();
    let [norm] = norms[..] else {
        panic!("{folded}")
    };
    assert!(norm.starts_with("7 = batch_norm(6, "), "{folded}");
    let images = common::floats(4 * 80, &mut random);
    for device in devices() {
        block_on(async {
            let mut predictor = Predictor::new(&device, &model, [4, 5, 4], &state).unwrap();
            let folded = predictor.logits(&images).await.unwrap();
            let training = training([4, 5, 4], 4);
            let mut session = Session::new(&device, &model, &training, 0).await.unwrap();
            for (name, (_, values)) in &state.tensors {
                session.write(name, values).unwrap();
            }
            session.set_batch(&images, &[0; 4]).unwrap();
            session.infer().unwrap();
            let expected = session.read("logits").await.unwrap();
            let largest = expected.iter().fold(0f32, |max, e| max.max(e.abs()));
            for (found, expected) in folded.iter().zip(&expected) {
                let error = (found - expected).abs() / largest;
                assert!(f64::from(error) < TOLERANCE, "{device}: {error:e}");
            }
        });
    }
}

#[test]
fn the_new_options_have_a_text_form() {
    let shape_of = |name: &str| {
        let shape = match name {
            "grouped" => [6, 2, 3, 3],
            _ => [4, 3, 3, 3],
        };
        Some((shape.into(), Element::F32))
    };
    let read = |function: &str| {
        let text = format!("images (4, 9, 8)\n0 = {function}\n1 = flatten(0)");
        Graph::read(&text, 2, shape_of).map(|graph| {
            assert_eq!(graph.to_string(), text);
            let node = graph.nodes().next().unwrap();
            graph.value(graph.node(node).output).shape.clone()
        })
    };
    let window = "kernel 3×3, stride 1×1, padding";
    for (function, output) in [
        (
            format!(
                "convolution(images, grouped) {window} top 0 bottom 2 left 1 right 0, groups 2"
            ),
            [2, 6, 9, 7],
        ),
        (
            format!("convolution(images, grouped) {window} 1×0, dilation 2×1, groups 2"),
            [2, 6, 7, 6],
        ),
        (
            format!("conv_transpose(images, weight) {window} 0×0"),
            [2, 3, 11, 10],
        ),
        (
            "conv_transpose(images, weight) kernel 3×3, stride 2×3, padding top 0 bottom 1 left 0 \
             right 0, dilation 1×2, output_padding 1×0, groups 2"
                .to_owned(),
            [2, 6, 19, 26],
        ),
        (
            "max_pool(images) kernel 2×2, stride 2×2, padding top 0 bottom 1 left 1 right 1, ties \
             first"
                .to_owned(),
            [2, 4, 5, 5],
        ),
    ] {
        assert_eq!(read(&function).unwrap(), output.into(), "{function}");
    }
    let conv = |options: &str| read(&format!("convolution(images, grouped) {window} {options}"));
    for wrong in [
        "top 0 bottom 2",
        "0×0, groups",
        "0×0, groups 1",
        "0×0, groups two",
    ] {
        let error = conv(wrong).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{wrong}: {error}");
    }
    let of = |options: &str| conv(options).unwrap_err().to_string();
    assert_eq!(
        of("0×0, groups 4"),
        "0: convolution: groups: expected a divisor of 6 output channels, got 4"
    );
    assert_eq!(
        of("0×0, groups 0"),
        "0: convolution: groups: expected a divisor of 6 output channels, got 0"
    );
    assert_eq!(
        of("0×0, groups 3"),
        "0: convolution: expected (N, 6, H, W), got (2, 4, 9, 8)"
    );
    let transposed = |options: &str| {
        let function = format!("conv_transpose(images, weight) {window} {options}");
        read(&function).unwrap_err().to_string()
    };
    assert_eq!(
        transposed("0×0, groups 3"),
        "0: conv_transpose: groups: expected a divisor of 4 input channels, got 3"
    );
    assert!(transposed("0×0, output_padding 0×0").contains("line 2"));
    assert_eq!(
        read("max_pool(images) kernel 2×2, stride 1×1, padding top 0 bottom 2 left 0 right 0, ties first")
            .unwrap_err()
            .to_string(),
        "0: max_pool: padding: expected at most half the kernel of 2×2, got top 0 bottom 2 left 0 \
         right 0"
    );
}

#[test]
fn options_that_do_not_fit_are_refused_by_name() {
    let error = |layer: Sequential| {
        let model = layer.with(Flatten).with(Linear::new(3));
        let refused = Graph::training(&model, &training([4, 9, 8], 2));
        refused.unwrap_err().to_string()
    };
    let conv = |layer: Conv2d| error(Sequential::new().with(layer));
    assert_eq!(
        conv(Conv2d::new(4, 6, 3).groups(3)),
        "0: Conv2d(4 → 6, 3×3, groups 3): groups: expected a divisor of 4 input and 6 output \
         channels, got 3"
    );
    assert_eq!(
        conv(Conv2d::new(4, 6, 3).groups(4)),
        "0: Conv2d(4 → 6, 3×3, groups 4): groups: expected a divisor of 4 input and 6 output \
         channels, got 4"
    );
    assert!(conv(Conv2d::new(4, 6, 3).groups(0)).ends_with("channels, got 0"));
    assert_eq!(
        conv(Conv2d::new(8, 8, 3).groups(8)),
        "0: Conv2d(8 → 8, 3×3, groups 8): expected (N, 8, H, W), got (2, 4, 9, 8)"
    );
    assert_eq!(
        conv(Conv2d::new(4, 6, 3).padding_same().stride((1, 2))),
        "0: Conv2d(4 → 6, 3×3, stride 1×2, padding same): stride: expected 1×1 with a padding that \
         keeps the size, got 1×2"
    );
    assert_eq!(
        conv(
            Conv2d::new(4, 6, 3)
                .padding_same()
                .stride(2)
                .padding(0)
                .dilation(5)
        ),
        "0: Conv2d(4 → 6, 3×3, stride 2×2, dilation 5×5): expected a plane of at least 11×11 with a \
         padding of 0×0 on each side, got a plane of 9×8"
    );
    assert_eq!(
        conv(Conv2d::new(4, 6, 13).padding(Padding::sides(1, 2, 2, 2))),
        "0: Conv2d(4 → 6, 13×13, padding top 1 bottom 2 left 2 right 2): expected a plane of at \
         least 13×13 with a padding of top 1 bottom 2 left 2 right 2, got a plane of 9×8"
    );
    assert_eq!(
        conv(Conv2d::new(4, 6, 3).padding(Padding::sides(usize::MAX, 1, 0, 0))),
        "0: Conv2d(4 → 6, 3×3, padding top 18446744073709551615 bottom 1 left 0 right 0): padded \
         plane: expected at most 2147483648×2147483648, got 18446744073709551615×8"
    );
    let transposed = |layer: ConvTranspose2d| error(Sequential::new().with(layer));
    let layer = || ConvTranspose2d::new(4, 6, 3);
    assert_eq!(
        transposed(layer().output_padding((0, 1))),
        "0: ConvTranspose2d(4 → 6, 3×3, output padding 0×1): output padding: expected below the \
         larger of stride and dilation, 1×1, got 0×1"
    );
    assert_eq!(
        transposed(layer().padding(6)),
        "0: ConvTranspose2d(4 → 6, 3×3, padding 6×6): padding: expected less than the output of a \
         plane of 9×8 without padding, got 6×6"
    );
    assert_eq!(
        transposed(layer().stride(1 << 30)),
        "0: ConvTranspose2d(4 → 6, 3×3, stride 1073741824×1073741824): output plane: expected at \
         most 2147483648×2147483648, got 8589934595×7516192771"
    );
    assert!(transposed(layer().stride((0, 1))).contains("stride: expected at least 1×1, got 0×1"));
    assert!(transposed(layer().dilation(usize::MAX)).contains("dilation: expected at most"));
    assert!(transposed(layer().groups(3)).contains("groups: expected a divisor of 4 input and 6"));
    assert_eq!(
        transposed(ConvTranspose2d::new(5, 6, 3)),
        "0: ConvTranspose2d(5 → 6, 3×3): expected (N, 5, H, W), got (2, 4, 9, 8)"
    );
}
