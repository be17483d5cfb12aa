//! Depthwise convolutions and repeated factors of products: odd sizes, long loops, infinities and
//! NaN at the padding.

use wgrad::Device;
use wgrad::ops::{
    BiasForward, Col2im, DepthwiseBackwardInput, DepthwiseBackwardWeight, DepthwiseForward,
    DepthwiseSizes, Gemm, Im2col, Op, Operand, ReduceSum, ReluForward,
};
use wgrad::shape::{Padding, Window, WindowedPlanes};

use super::padding::{assert_same, devices, factors, integers, run};
use super::{check_random, common};

fn sizes(
    [batch, channels, multiplier]: [usize; 3],
    plane: (usize, usize),
    window: Window,
) -> DepthwiseSizes {
    let planes = batch * channels;
    DepthwiseSizes {
        batch,
        channels,
        multiplier,
        geometry: WindowedPlanes::new(planes, plane.into(), window, "test").unwrap(),
    }
}

fn window(kernel: (usize, usize), stride: (usize, usize), padding: Padding) -> Window {
    Window {
        stride: stride.into(),
        padding,
        ..Window::new(kernel)
    }
}

#[test]
fn depthwise_convolutions_of_odd_tiny_and_large_sizes() {
    let Some(device) = common::gpu() else { return };
    let dilated = Window {
        dilation: (3, 2).into(),
        ..window((3, 3), (2, 1), Padding::sides(0, 3, 4, 1))
    };
    for sizes in [
        sizes([1, 1, 1], (1, 1), window((1, 1), (1, 1), 0.into())),
        sizes([2, 3, 1], (13, 7), window((3, 2), (2, 1), (1, 0).into())),
        sizes(
            [3, 2, 5],
            (11, 17),
            window((5, 4), (2, 3), Padding::sides(3, 1, 0, 2)),
        ),
        sizes([2, 5, 2], (9, 10), dilated),
        sizes([1, 2, 1], (5, 6), window((2, 3), (1, 2), (3, 4).into())),
        sizes([7, 32, 1], (28, 28), window((3, 3), (1, 1), 1.into())),
        sizes([1, 2, 2], (97, 1), window((7, 1), (5, 1), (3, 0).into())),
    ] {
        for (bias, relu) in [(false, false), (true, false), (false, true), (true, true)] {
            check_random(&device, DepthwiseForward { sizes, bias, relu });
        }
        check_random(&device, DepthwiseBackwardInput { sizes });
        for parts in [1, 3, sizes.positions()] {
            check_random(&device, DepthwiseBackwardWeight { sizes, parts });
        }
    }
}

#[test]
fn products_whose_batch_repeats_the_matrices_of_a_factor() {
    let Some(device) = common::gpu() else { return };
    for (batch, [a, b]) in [(6, [2, 3]), (5, [2, 5]), (4, [1, 7])] {
        for [a, b] in [
            [Operand::PLAIN.repeated(a), Operand::PLAIN.repeated(b)],
            [Operand::TRANSPOSED.repeated(a), Operand::PLAIN],
            [Operand::PLAIN, Operand::TRANSPOSED.repeated(b)],
        ] {
            check_random(&device, Gemm::new(batch, [7, 13, 5], a, b));
        }
    }
}

/// Each op, on the reference, as the ops into which it is split where its loops are too long.
#[test]
fn splits_compute_the_same() {
    let window = window((3, 2), (2, 1), Padding::sides(1, 2, 0, 1));
    let sizes = sizes([2, 3, 2], (7, 6), window);
    let mut ops: Vec<Box<dyn Op>> = vec![Box::new(DepthwiseBackwardInput { sizes })];
    for (bias, relu) in [(false, false), (true, false), (false, true), (true, true)] {
        ops.push(Box::new(DepthwiseForward { sizes, bias, relu }));
    }
    let step = super::any_step();
    for op in ops {
        let inputs: Vec<_> = op
            .bindings()
            .inputs
            .iter()
            .map(|b| integers(b.words))
            .collect();
        let expected = super::outputs_of(op.as_ref(), &inputs, &step).remove(0);
        let split = op.split(1 << 10).unwrap();
        let mut scratch: Vec<Vec<u32>> = vec![Vec::new(); split.scratch.len()];
        let mut output = Vec::new();
        for part in &split.steps {
            let read = |slot: &wgrad::ops::Slot| match *slot {
                wgrad::ops::Slot::Input(at) => inputs[at].clone(),
                wgrad::ops::Slot::Scratch(at) => scratch[at].clone(),
                wgrad::ops::Slot::Output(_) => panic!("an output that is read"),
            };
            let read: Vec<Vec<u32>> = part.inputs.iter().map(read).collect();
            let written = super::outputs_of(part.op.as_ref(), &read, &step).remove(0);
            match part.outputs[0] {
                wgrad::ops::Slot::Scratch(at) => scratch[at] = written,
                _ => output = written,
            }
        }
        assert_same(&output, &expected, &format!("{op:?}"));
    }
}

/// As in `padding.rs`: the same values as by im2col and a product on the reference.
#[test]
fn special_values_at_the_padding() {
    let cpu = Device::cpu();
    for (stride, relu) in [((1, 1), false), ((2, 1), true), ((9, 9), false)] {
        let padding = Padding::sides(2, 1, 0, 1);
        let s = sizes([2, 2, 3], (5, 6), window((3, 2), stride, padding));
        let (geometry, area) = (s.geometry, s.geometry.output_area());
        let (planes, cells) = (geometry.planes, geometry.kernel_area());
        let weights = Operand::PLAIN.repeated(2);
        let im2col = Im2col {
            geometry,
            fours: false,
        };
        let bias = integers(s.out_channels());
        for [input, weight] in factors(s.input_len(), s.weight_len()) {
            let columns = run(&cpu, im2col.clone(), &[&input]).remove(0);
            let gemm = Gemm::new(planes, [3, area, cells], weights, Operand::PLAIN);
            let product = run(&cpu, gemm, &[&weight, &columns]).remove(0);
            let add = BiasForward {
                batch: 2,
                channels: 6,
                area,
            };
            let mut expected = run(&cpu, add, &[&product, &bias]).remove(0);
            if relu {
                let len = expected.len();
                expected = run(&cpu, ReluForward { len }, &[&expected]).remove(0);
            }
            for device in devices() {
                let op = DepthwiseForward {
                    sizes: s,
                    bias: true,
                    relu,
                };
                let found = run(&device, op, &[&input, &weight, &bias]).remove(0);
                assert_same(&found, &expected, &format!("forward, {device}"));
            }
        }
        for [input, d_output] in factors(s.input_len(), s.output_len()) {
            let columns = run(&cpu, im2col.clone(), &[&input]).remove(0);
            let gemm = Gemm::new(
                planes,
                [3, cells, area],
                Operand::PLAIN,
                Operand::TRANSPOSED,
            );
            let partials = run(&cpu, gemm, &[&d_output, &columns]).remove(0);
            let sum = ReduceSum::new(2, s.weight_len());
            let expected = run(&cpu, sum, &[&partials]).remove(0);
            for device in devices() {
                let op = DepthwiseBackwardWeight { sizes: s, parts: 1 };
                let found = run(&device, op, &[&input, &d_output]).remove(0);
                assert_same(&found, &expected, &format!("weight, {device}"));
            }
        }
        for [weight, d_output] in factors(s.weight_len(), s.output_len()) {
            let weights = Operand::TRANSPOSED.repeated(2);
            let gemm = Gemm::new(planes, [cells, area, 3], weights, Operand::PLAIN);
            let d_columns = run(&cpu, gemm, &[&weight, &d_output]).remove(0);
            let expected = run(&cpu, Col2im { geometry }, &[&d_columns]).remove(0);
            for device in devices() {
                let op = DepthwiseBackwardInput { sizes: s };
                let found = run(&device, op, &[&weight, &d_output]).remove(0);
                assert_same(&found, &expected, &format!("input, {device}"));
            }
        }
    }
}
