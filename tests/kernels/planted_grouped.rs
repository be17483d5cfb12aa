//! Faults planted in the kernels of depthwise and grouped convolutions.

use wgrad::ops::{
    DepthwiseBackwardInput, DepthwiseBackwardWeight, DepthwiseForward, DepthwiseSizes, Gemm, Op,
    Operand,
};
use wgrad::shape::{Padding, Window, WindowedPlanes};

/// The change to the kernel, the op, the text and its replacement.
type Planted = (&'static str, Box<dyn Op>, &'static str, &'static str);

/// Three images of two channels, each with three filters; areas that are no multiples of four.
fn sizes() -> DepthwiseSizes {
    let window = Window {
        kernel: (3, 2).into(),
        stride: (2, 1).into(),
        padding: Padding::sides(1, 2, 2, 0),
        dilation: (1, 3).into(),
    };
    DepthwiseSizes {
        batch: 3,
        channels: 2,
        multiplier: 3,
        geometry: WindowedPlanes::new(6, (7, 9).into(), window, "mutant").unwrap(),
    }
}

pub fn mutants() -> Vec<Planted> {
    let sizes = sizes();
    let forward = || {
        Box::new(DepthwiseForward {
            sizes,
            bias: true,
            relu: true,
        })
    };
    let backward_input = || Box::new(DepthwiseBackwardInput { sizes });
    let backward_weight = || Box::new(DepthwiseBackwardWeight { sizes, parts: 5 });
    let gemm = || {
        let (a, b) = (Operand::PLAIN.repeated(3), Operand::TRANSPOSED.repeated(2));
        Box::new(Gemm::new(6, [5, 7, 4], a, b))
    };
    vec![
        (
            "input channel of another filter",
            forward(),
            "input_at(plane / M, h",
            "input_at(plane % (BATCH * C), h",
        ),
        (
            "filters of the first channel",
            forward(),
            "(channel * KH + kh) * KW + kw] * values",
            "kh * KW + kw] * values",
        ),
        ("no dilation", forward(), "w + kw * DILATION_W", "w + kw"),
        (
            "padding of the other axis",
            forward(),
            "STRIDE_H - PAD_H",
            "STRIDE_H - PAD_W",
        ),
        ("no bias", forward(), "sum += bias[channel]", "sum += 0.0"),
        ("no ReLU", forward(), "if RELU", "if !RELU"),
        (
            "padding not zero",
            forward(),
            "(h < vec4<u32>(H))",
            "(h < vec4<u32>(H + 1u))",
        ),
        (
            "last of four missing",
            forward(),
            "store_output(plane, first + 3u, sum.w);",
            "",
        ),
        (
            "one filter of each channel",
            backward_input(),
            "m < M",
            "m < 1u",
        ),
        (
            "gradients of the first filter",
            backward_input(),
            "(plane * M + m) * OH",
            "plane * M * OH",
        ),
        (
            "filters of the first channel",
            backward_input(),
            "plane % C * M + m",
            "m",
        ),
        (
            "positions between strides",
            backward_input(),
            " & (oh * STRIDE_H == h)",
            "",
        ),
        (
            "padding left out",
            backward_input(),
            "pixel % W + PAD_W",
            "pixel % W",
        ),
        (
            "positions past the last",
            backward_input(),
            "(ow < vec4<u32>(OW))",
            "(ow <= vec4<u32>(OW))",
        ),
        ("first image only", backward_weight(), "n++;", "n = 0u;"),
        ("rows not counted", backward_weight(), "oh++", "oh = 0u"),
        (
            "parts from the first position",
            backward_weight(),
            "begin / OW % OH",
            "0u",
        ),
        (
            "input channel of another filter",
            backward_weight(),
            "n * C + channel / M",
            "n * C + channel % C",
        ),
        (
            "cells not dilated",
            backward_weight(),
            "cell % KW * DILATION_W",
            "cell % KW",
        ),
        (
            "last two of six cells missing",
            backward_weight(),
            "cell < KH * KW",
            "cell < KH * KW / 4u * 4u",
        ),
        (
            "one matrix for the batch",
            gemm(),
            "batch % A_MATRICES",
            "0u",
        ),
        (
            "repeats of the other factor",
            gemm(),
            "batch % B_MATRICES",
            "batch % A_MATRICES % 2u",
        ),
    ]
}
