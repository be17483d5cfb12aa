//! Faults planted in the kernels that stage tiles in workgroup memory, and in the one that broadcasts
//! rows of any length.

use wgrad::ops::{
    ConvBackwardInput, ConvBackwardWeight, ConvForward, Epilogue, Op, Product, Variant,
};

use super::planted_fused::sizes;

/// The change to the kernel, the op, the text and its replacement.
type Planted = (&'static str, Box<dyn Op>, &'static str, &'static str);

/// A product that takes more than one tile of 64×64, and ends within a slice.
fn product(kernel: &str, transposed: [bool; 2], epilogue: Epilogue) -> Box<dyn Op> {
    let product = Product {
        batch: 2,
        ..Product::new([68, 100, 36], transposed, epilogue)
    };
    named(kernel, product.variants())
}

fn named(kernel: &str, variants: Vec<Variant>) -> Box<dyn Op> {
    let mut variants = variants.into_iter();
    let named = variants.find(|variant| variant.name == kernel);
    named.expect("a kernel of that name").op
}

pub fn mutants() -> Vec<Planted> {
    let mut all = products();
    all.extend(convolutions());
    all.extend(uneven());
    all
}

/// Products of sizes that are no multiples of four.
fn uneven() -> Vec<Planted> {
    let product = |epilogue| {
        let product = Product {
            batch: 2,
            ..Product::new([66, 35, 71], [false, true], epilogue)
        };
        named("gemm_broadcast_any/16", product.variants())
    };
    let bias = Epilogue::Bias {
        of_rows: true,
        relu: false,
    };
    vec![
        (
            "terms beyond the row",
            product(Epilogue::Plain),
            "select(vec4<f32>(), floats, PLACES < vec4<u32>(real))",
            "floats",
        ),
        (
            "third column not stored",
            product(Epilogue::ReluGradient),
            "if real > 2u",
            "if real > 3u",
        ),
        (
            "second row of a block not stored",
            product(Epilogue::Plain),
            "IS_WHOLE || m + 1u < M",
            "IS_WHOLE",
        ),
        (
            "biases of rows by columns",
            product(bias),
            "select(real, M - m, BIAS_OF_ROWS)",
            "real",
        ),
        (
            "last columns left out",
            product(Epilogue::Plain),
            "(size - 1u) / 4u * 4u",
            "(size - 4u) / 4u * 4u",
        ),
    ]
}

fn convolutions() -> Vec<Planted> {
    let (sizes, tile) = (sizes((2, 1)), None);
    let forward = |kernel| {
        let op = ConvForward {
            sizes,
            bias: true,
            relu: true,
            tile,
        };
        named(kernel, op.variants())
    };
    let input = |kernel| named(kernel, ConvBackwardInput { sizes, tile }.variants());
    let weight = |kernel| {
        let parts = 2;
        let op = ConvBackwardWeight { sizes, parts, tile };
        named(kernel, op.variants())
    };
    vec![
        (
            "a slice too few",
            forward("conv_tile_16x256/64"),
            "first < FAN_IN; first += SLICE",
            "first + SLICE < FAN_IN; first += SLICE",
        ),
        (
            "padding not zero",
            forward("conv_tile_32x128/64"),
            " || h >= H || w >= W",
            "",
        ),
        (
            "ReLU forgotten",
            forward("conv_tile_64x64/64"),
            "RELU && !passes(value)",
            "false",
        ),
        (
            "bias of another channel",
            forward("conv_tile_64x128/128"),
            "value += bias[o];",
            "value += bias[o / 2u];",
        ),
        (
            "pixels between two windows covered",
            input("conv_tile_16x256/64"),
            "oh * STRIDE_H == h && ",
            "",
        ),
        (
            "the first image for all",
            input("conv_tile_32x128/64"),
            "d_output[(pixel / IN_AREA * O + term",
            "d_output[(term",
        ),
        (
            "weights of another channel",
            input("conv_tile_64x64/64"),
            "(KH * KW) * C + c) * KH * KW + term",
            "(KH * KW) * C) * KH * KW + term",
        ),
        (
            "bias's terms of the next part",
            weight("conv_tile_16x256/64"),
            "if o < O && position < end {",
            "if o < O {",
        ),
        (
            "bias of every fourth channel",
            weight("conv_tile_64x64/64"),
            "lane / 4u][lane % 4u]",
            "lane / 4u][0]",
        ),
        (
            "the first part for all",
            weight("conv_tile_32x128/64"),
            "var first = tile.z * part_len",
            "var first = 0u",
        ),
    ]
}

fn products() -> Vec<Planted> {
    let plain = |kernel, transposed| product(kernel, transposed, Epilogue::Plain);
    let sums = |kernel| product(kernel, [true, false], Epilogue::RowSums);
    vec![
        (
            "a slice too few",
            plain("gemm_workgroup/64", [false, false]),
            "k < K; k += SLICE",
            "k + SLICE < K; k += SLICE",
        ),
        (
            "the first slice of A again",
            plain("gemm_workgroup/64", [true, false]),
            "k + a_from.x)",
            "a_from.x)",
        ),
        (
            "a slice too few",
            plain("gemm_tile_64x64/64", [false, false]),
            "k < K; k += SLICE",
            "k + SLICE < K; k += SLICE",
        ),
        (
            "terms past the last one",
            sums("gemm_tile_64x64/64"),
            "if at.x >= M || at.y >= K {",
            "if at.x >= M {",
        ),
        (
            "blocks changed places",
            plain("gemm_tile_128x64/128", [false, false]),
            "column + TILE_N / 2u, sums.top_right",
            "column + TILE_N / 2u, sums.bottom_left",
        ),
        (
            "the upper half of A twice",
            plain("gemm_tile_128x128/256", [true, false]),
            "a_slice[a_at + TILE_M / 8u]",
            "a_slice[a_at]",
        ),
        (
            "half of what a lane loads",
            plain("gemm_tile_128x64/128", [true, true]),
            "loaded.a1 = load_a(tile, k, lane + WORKGROUP_SIZE);",
            "",
        ),
        (
            "a column in the wrong row",
            plain("gemm_tile_64x64/64", [false, false]),
            "a_slice[at + 2u * A_PITCH]",
            "a_slice[at + 3u * A_PITCH]",
        ),
        (
            "the buffer before",
            plain("gemm_tile_128x64/128", [false, false]),
            "b_first + n);",
            "n);",
        ),
        (
            "sums of every fourth row",
            sums("gemm_tile_64x64/64"),
            "lane / 4u][lane % 4u]",
            "lane / 4u][0]",
        ),
        (
            "a term left out of the sums",
            sums("gemm_tile_128x128/256"),
            "for (var i = 0u; i < SLICE; i++) {",
            "for (var i = 1u; i < SLICE; i++) {",
        ),
    ]
}
