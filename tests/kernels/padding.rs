//! Infinities and NaN at the padding: every convolution kernel gives the readable plan's results.
//!
//! These are defined as in PyTorch. In the forward pass and in the weight gradient, the zeros of
//! the padding are multiplied like any pixel, so an infinite factor gives NaN. In the input
//! gradient, a cell of the filter that no window places on a pixel contributes nothing to it,
//! whatever its weight.

use crate::common;
use wgrad::executor::Executor;
use wgrad::ops::{
    BiasForward, Col2im, ConvBackwardInput, ConvBackwardWeight, ConvForward,
    ConvPoolBackwardWeight, ConvPoolForward, ConvSizes, Gemm, Im2col, MaxPoolBackward,
    MaxPoolForward, NO_PIXEL, Op, Operand, ReduceSum, Step, Variant,
};
use wgrad::plan::{Builder, Phase};
use wgrad::shape::{Window, WindowedPlanes};
use wgrad::{Device, block_on};

pub type Words = Vec<u32>;

/// The outputs of an op run alone.
pub fn run(device: &Device, op: impl Op + Clone + 'static, inputs: &[&Words]) -> Vec<Words> {
    run_boxed(device, Box::new(op), inputs)
}

fn run_boxed(device: &Device, op: Box<dyn Op>, inputs: &[&Words]) -> Vec<Words> {
    block_on(async {
        let mut plan = Builder::new(false);
        let (from, to) = plan.tensors_of(op.as_ref()).unwrap();
        let node = plan.boxed_op(Phase::Forward, op, &from, &to).unwrap();
        let mut executor = device.load(plan.finish()).await.unwrap();
        for (&tensor, words) in from.iter().zip(inputs) {
            executor.write_words(tensor, words).unwrap();
        }
        let step = Step::new(0, BATCH as u32, 0, 0.0);
        match &mut executor {
            Executor::Gpu(executor) => executor.run_node(node, &step).unwrap(),
            Executor::Cpu(executor) => executor.run_node(node, &step),
        }
        let mut outputs = Vec::new();
        for tensor in to {
            outputs.push(executor.read_words(tensor).await.unwrap());
        }
        outputs
    })
}

/// Makes both zeros equal, and all NaNs. All numbers are small integers, so sums are exact.
fn canonical(words: &Words) -> Vec<String> {
    let floats = words.iter().map(|&bits| f32::from_bits(bits));
    floats
        .map(|value| {
            if value.is_nan() {
                "NaN".to_owned()
            } else {
                (value + 0.0).to_string()
            }
        })
        .collect()
}

pub fn assert_same(found: &Words, expected: &Words, what: &str) {
    let (found, expected) = (canonical(found), canonical(expected));
    let differ = found.iter().zip(&expected).filter(|(a, b)| a != b).count();
    let all = expected.len();
    assert_eq!(found, expected, "{what}: {differ} of {all} differ");
}

const BATCH: usize = 2;
const CHANNELS: usize = 2;
const OUT: usize = 3;

/// With stride 9 there is a single window, whose positions are all known at compile time.
fn sizes(stride: usize, dilation: usize) -> ConvSizes {
    let window = Window {
        stride: stride.into(),
        padding: (2, 1).into(),
        dilation: dilation.into(),
        ..Window::new((3, 2))
    };
    let planes = BATCH * CHANNELS;
    let geometry = WindowedPlanes::new(planes, (5, 6).into(), window, "test").unwrap();
    ConvSizes {
        batch: BATCH,
        in_channels: CHANNELS,
        out_channels: OUT,
        geometry,
    }
}

/// Small integers, none of them zero.
pub fn integers(len: usize) -> Words {
    let value = |at: usize| [1.0f32, -2.0, 3.0, -1.0, 2.0][at * at % 7 % 5];
    (0..len).map(|at| value(at).to_bits()).collect()
}

/// The same with both infinities and a NaN, far apart.
fn special(len: usize) -> Words {
    let mut words = integers(len);
    let places = [
        (0, f32::NEG_INFINITY),
        (len / 2, f32::INFINITY),
        (len - 1, f32::NAN),
    ];
    for (place, value) in places {
        words[place] = value.to_bits();
    }
    words
}

/// Pairs of factors, one of which has special values.
pub fn factors(a: usize, b: usize) -> [[Words; 2]; 2] {
    [[integers(a), special(b)], [special(a), integers(b)]]
}

pub fn devices() -> Vec<Device> {
    common::gpu().into_iter().chain([Device::cpu()]).collect()
}

/// im2col, the product and the bias on the reference: the readable plan.
fn readable_forward(s: &ConvSizes, input: &Words, weight: &Words, bias: &Words) -> Words {
    let (cpu, area) = (Device::cpu(), s.geometry.output_area());
    let im2col = Im2col {
        geometry: s.geometry,
        fours: false,
    };
    let columns = run(&cpu, im2col, &[input]).remove(0);
    let gemm = Gemm::new(
        BATCH,
        [OUT, area, s.fan_in()],
        Operand::PLAIN.shared(),
        Operand::PLAIN,
    );
    let product = run(&cpu, gemm, &[weight, &columns]).remove(0);
    let add = BiasForward {
        batch: BATCH,
        channels: OUT,
        area,
    };
    run(&cpu, add, &[&product, bias]).remove(0)
}

fn readable_weight_gradient(s: &ConvSizes, input: &Words, d_output: &Words) -> Words {
    let (cpu, area, k) = (Device::cpu(), s.geometry.output_area(), s.fan_in());
    let im2col = Im2col {
        geometry: s.geometry,
        fours: false,
    };
    let columns = run(&cpu, im2col, &[input]).remove(0);
    let gemm = Gemm::new(BATCH, [OUT, k, area], Operand::PLAIN, Operand::TRANSPOSED);
    let partials = run(&cpu, gemm, &[d_output, &columns]).remove(0);
    let reduce = ReduceSum::new(BATCH, OUT * k);
    run(&cpu, reduce, &[&partials]).remove(0)
}

#[test]
fn forward_multiplies_the_zeros_of_the_padding() {
    for (stride, dilation) in [(1, 1), (2, 1), (9, 1), (2, 3)] {
        let s = sizes(stride, dilation);
        let bias = integers(OUT);
        for [input, weight] in factors(s.input_len(), s.weight_len()) {
            let expected = readable_forward(&s, &input, &weight, &bias);
            for device in devices() {
                let what = format!("{device}, stride {stride}, dilation {dilation}");
                let im2col = Im2col {
                    geometry: s.geometry,
                    fours: false,
                };
                let columns = run(&device, im2col, &[&input]).remove(0);
                let sizes = [OUT, s.geometry.output_area(), s.fan_in()];
                let gemm = Gemm::new(BATCH, sizes, Operand::PLAIN.shared(), Operand::PLAIN);
                let product = run(&device, gemm, &[&weight, &columns]).remove(0);
                let add = BiasForward {
                    batch: BATCH,
                    channels: OUT,
                    area: sizes[1],
                };
                let found = run(&device, add, &[&product, &bias]).remove(0);
                assert_same(&found, &expected, &format!("columns, {what}"));
                let implicit = ConvForward {
                    sizes: s,
                    bias: true,
                    relu: false,
                    tile: None,
                };
                for Variant { name, op } in implicit.variants() {
                    let found = run_boxed(&device, op, &[&input, &weight, &bias]).remove(0);
                    assert_same(&found, &expected, &format!("{name}, {what}"));
                }
            }
        }
    }
}

#[test]
fn a_pooled_convolution_multiplies_the_zeros_of_the_padding() {
    let s = sizes(1, 1);
    let bias = integers(OUT);
    let planes = WindowedPlanes::new(
        BATCH * OUT,
        s.geometry.output,
        Window {
            stride: 2.into(),
            ..Window::new(2)
        },
        "test",
    );
    let pool = MaxPoolForward {
        geometry: planes.unwrap(),
        relu: true,
    };
    for [input, weight] in factors(s.input_len(), s.weight_len()) {
        let output = readable_forward(&s, &input, &weight, &bias);
        let expected = run(&Device::cpu(), pool.clone(), &[&output]);
        for device in devices() {
            let pooled = ConvPoolForward {
                sizes: s,
                gathered: None,
            };
            let found = run(&device, pooled, &[&input, &weight, &bias, &input]);
            assert_same(&found[0], &expected[0], &format!("pooled, {device}"));
            assert_eq!(found[1], expected[1], "winners, {device}");
        }
    }
}

#[test]
fn the_weight_gradient_multiplies_the_zeros_of_the_padding() {
    for (stride, dilation) in [(1, 1), (2, 1), (9, 1), (2, 3)] {
        let s = sizes(stride, dilation);
        for [input, d_output] in factors(s.input_len(), s.output_len()) {
            let expected = readable_weight_gradient(&s, &input, &d_output);
            for device in devices() {
                let implicit = ConvBackwardWeight {
                    sizes: s,
                    parts: 1,
                    tile: None,
                };
                for Variant { name, op } in implicit.variants() {
                    let what = format!("{name}, {device}, stride {stride}, dilation {dilation}");
                    let found = run_boxed(&device, op, &[&input, &d_output]).remove(0);
                    assert_same(&found, &expected, &what);
                }
            }
        }
    }
}

/// The input is bytes of a data set, which are finite.
#[test]
fn the_pooled_weight_gradient_multiplies_the_zeros_of_the_padding() {
    let s = sizes(1, 1);
    let input = integers(s.input_len());
    let planes = WindowedPlanes::new(
        BATCH * OUT,
        s.geometry.output,
        Window {
            stride: 2.into(),
            ..Window::new(2)
        },
        "test",
    );
    let planes = planes.unwrap();
    let (width, area) = (planes.output.width, planes.output_area());
    // The upper left pixel of each window wins, except that some windows have no winner.
    let winner = |at: usize| match at % 5 {
        3 => NO_PIXEL,
        _ => (at % area / width * 2 * planes.input.width + at % width * 2) as u32,
    };
    let indices: Words = (0..BATCH * OUT * area).map(winner).collect();
    let d_pooled = special(indices.len());
    let scatter = MaxPoolBackward {
        geometry: planes,
        disjoint: false,
    };
    let d_output = run(&Device::cpu(), scatter, &[&indices, &d_pooled]).remove(0);
    let expected = readable_weight_gradient(&s, &input, &d_output);
    assert!(canonical(&expected).contains(&"NaN".to_owned()));
    for device in devices() {
        for is_wide in [false, true] {
            let op = ConvPoolBackwardWeight {
                sizes: s,
                gathered: None,
                accumulate: false,
                is_wide,
            };
            let found = run(&device, op, &[&input, &indices, &d_pooled, &input]).remove(0);
            assert_same(&found, &expected, &format!("pooled, {device}"));
        }
    }
}

#[test]
fn the_input_gradient_has_no_terms_outside_windows() {
    for (stride, dilation) in [(1, 1), (2, 1), (9, 1), (2, 3)] {
        let s = sizes(stride, dilation);
        let (cpu, area) = (Device::cpu(), s.geometry.output_area());
        for [weight, d_output] in factors(s.weight_len(), s.output_len()) {
            let sizes = [s.fan_in(), area, OUT];
            let gemm = Gemm::new(BATCH, sizes, Operand::TRANSPOSED.shared(), Operand::PLAIN);
            let d_columns = run(&cpu, gemm, &[&weight, &d_output]).remove(0);
            let col2im = Col2im {
                geometry: s.geometry,
            };
            let expected = run(&cpu, col2im.clone(), &[&d_columns]).remove(0);
            for device in devices() {
                let what = format!("{device}, stride {stride}, dilation {dilation}");
                let found = run(&device, col2im.clone(), &[&d_columns]).remove(0);
                assert_same(&found, &expected, &format!("columns, {what}"));
                let implicit = ConvBackwardInput {
                    sizes: s,
                    tile: None,
                };
                for Variant { name, op } in implicit.variants() {
                    let found = run_boxed(&device, op, &[&weight, &d_output]).remove(0);
                    assert_same(&found, &expected, &format!("{name}, {what}"));
                }
            }
        }
    }
}
