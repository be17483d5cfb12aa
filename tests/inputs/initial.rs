//! Distributions of initial weights.

use wgrad::graph::Graph;
use wgrad::nn::{
    Conv2d, ConvTranspose2d, Flatten, Initializer, Linear, Sequential, Training, initial_parameters,
};
use wgrad::plan::Init;
use wgrad::{Loss, Sgd};

/// The initial weights of a convolution with fan-in 36 and fan-out 288, of a linear layer with
/// fan-in 288 and fan-out 10, and the biases of both.
fn drawn(init: Initializer, seed: u64) -> [Vec<f32>; 4] {
    let model = Sequential::new()
        .with(Conv2d::new(4, 32, 3).init(init))
        .with(Flatten)
        .with(Linear::new(10).init(init));
    let training = Training::new([4, 5, 5], Loss::CrossEntropy, Sgd::new(0.1)).batch_size(1);
    let plan = Graph::training(&model, &training)
        .unwrap()
        .readable()
        .unwrap();
    let arena = initial_parameters(&plan, seed).unwrap();
    let of = |name: &str| {
        let tensor = plan.tensor(plan.find(name).unwrap());
        arena[tensor.offset..][..tensor.words()].to_vec()
    };
    ["0.weight", "2.weight", "0.bias", "2.bias"].map(of)
}

/// Mean, standard deviation and largest magnitude.
fn moments(values: &[f32]) -> [f64; 3] {
    let n = values.len() as f64;
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let squares = values.iter().map(|&x| (f64::from(x) - mean).powi(2));
    let variance = squares.sum::<f64>() / n;
    let largest = values
        .iter()
        .map(|x| f64::from(x.abs()))
        .fold(0.0, f64::max);
    [mean, variance.sqrt(), largest]
}

#[test]
fn weights_have_the_moments_of_their_distributions() {
    let (conv, linear) = ([36.0, 288.0], [288.0, 10.0]);
    for (init, variance, is_uniform) in [
        (
            Initializer::HeNormal,
            [2.0 / conv[0], 2.0 / linear[0]],
            false,
        ),
        (
            Initializer::HeUniform,
            [2.0 / conv[0], 2.0 / linear[0]],
            true,
        ),
        (Initializer::XavierNormal, [2.0 / 324.0, 2.0 / 298.0], false),
        (Initializer::XavierUniform, [2.0 / 324.0, 2.0 / 298.0], true),
        (Initializer::PyTorch, [1.0 / 108.0, 1.0 / 864.0], true),
    ] {
        for seed in 0..3 {
            let [conv, linear, conv_bias, linear_bias] = drawn(init, seed);
            for (weights, variance) in [(conv, variance[0]), (linear, variance[1])] {
                let variance: f64 = variance;
                let (count, deviation) = (weights.len() as f64, variance.sqrt());
                let [mean, found, largest] = moments(&weights);
                // Four standard errors of each.
                assert!(
                    mean.abs() < 4.0 * deviation / count.sqrt(),
                    "{init:?}: {mean}"
                );
                let off = (found / deviation - 1.0).abs();
                assert!(
                    off < 4.0 / (2.0 * count).sqrt(),
                    "{init:?}: {found} {deviation}"
                );
                let bound = 3f64.sqrt() * deviation;
                assert_eq!(largest <= bound, is_uniform, "{init:?}: {largest}");
                assert!(largest > 0.97 * bound, "{init:?}: {largest}");
            }
            let has_bias = conv_bias
                .iter()
                .chain(&linear_bias)
                .any(|&bias| bias != 0.0);
            assert_eq!(has_bias, init == Initializer::PyTorch);
            let largest = moments(&conv_bias)[2];
            assert!(largest <= 1.0 / 6.0, "{init:?}: {largest}");
        }
        assert_ne!(drawn(init, 0), drawn(init, 1));
        assert_eq!(drawn(init, 1), drawn(init, 1));
    }
}

#[test]
fn constants_are_constant() {
    let [conv, linear, conv_bias, linear_bias] = drawn(Initializer::Constant(0.5), 0);
    assert!(conv.iter().chain(&linear).all(|&weight| weight == 0.5));
    assert!(
        conv_bias
            .iter()
            .chain(&linear_bias)
            .all(|&bias| bias == 0.0)
    );
}

/// As in PyTorch, the fans of grouped and transposed convolutions follow from the weight's shape.
#[test]
fn fans_follow_from_the_weights_shape() {
    let init = Initializer::XavierNormal;
    let model = Sequential::new()
        .with(Conv2d::new(8, 16, 3).groups(4).init(init))
        .with(ConvTranspose2d::new(16, 6, (2, 3)).groups(2).init(init))
        .with(Flatten)
        .with(Linear::new(10));
    let training = Training::new([8, 5, 5], Loss::CrossEntropy, Sgd::new(0.1)).batch_size(1);
    let graph = Graph::training(&model, &training).unwrap();
    let plan = graph.readable().unwrap();
    for (name, shape, fans) in [
        ("0.weight", [16, 2, 3, 3], [2 * 9, 16 * 9]),
        ("1.weight", [16, 3, 2, 3], [3 * 6, 16 * 6]),
    ] {
        let tensor = plan.tensor(plan.find(name).unwrap());
        assert_eq!(tensor.shape, shape.into(), "{name}");
        let deviation = (2.0 / (fans[0] + fans[1]) as f64).sqrt();
        assert_eq!(tensor.init, Some(Init::Normal { deviation }), "{name}");
    }
}
