//! Faults planted in the kernels of fused plans.

use super::planted::geometry;
use wgrad::ops::{
    ConvBackwardInput, ConvBackwardWeight, ConvForward, ConvSizes, CrossEntropy, Epilogue,
    FusedLoss, MaxPoolBackward, MaxPoolForward, Metrics, Mse, Op, Product, RowLoss,
};
use wgrad::shape::{Window, WindowedPlanes};

/// The change to the kernel, the op, the text and its replacement.
type Planted = (&'static str, Box<dyn Op>, &'static str, &'static str);

/// A batch of two products, by the kernel of that name.
fn product(kernel: &str, epilogue: Epilogue) -> Box<dyn Op> {
    let product = Product {
        batch: 2,
        a_shared: true,
        ..Product::new([68, 8, 68], [false, true], epilogue)
    };
    let mut variants = product.variants().into_iter();
    variants
        .find(|variant| variant.name == kernel)
        .expect("a kernel of that name")
        .op
}

/// Three images of two channels, nine output channels.
pub fn sizes(stride: (usize, usize)) -> ConvSizes {
    let window = Window {
        stride: stride.into(),
        padding: (1, 1).into(),
        ..Window::new((3, 2))
    };
    ConvSizes {
        batch: 3,
        in_channels: 2,
        out_channels: 9,
        geometry: WindowedPlanes::new(6, (8, 9).into(), window, "mutant").unwrap(),
    }
}

/// The same with dilated filters.
fn dilated() -> ConvSizes {
    let sizes = sizes((2, 1));
    let window = Window {
        dilation: (2, 3).into(),
        ..sizes.geometry.window
    };
    ConvSizes {
        geometry: WindowedPlanes::new(6, (8, 9).into(), window, "mutant").unwrap(),
        ..sizes
    }
}

/// Adjacent windows, with a row and a column that none covers.
pub fn apart() -> WindowedPlanes {
    let window = Window {
        stride: (3, 2).into(),
        ..Window::new((3, 2))
    };
    WindowedPlanes::new(4, (10, 9).into(), window, "mutant").unwrap()
}

fn loss(loss: RowLoss, gathered: Option<usize>) -> Box<dyn Op> {
    let metrics = Metrics {
        rows: 70,
        classes: 5,
        slots: 4,
    };
    Box::new(FusedLoss {
        loss,
        metrics,
        gathered,
    })
}

/// MSE with the labels of the batch, or of a data set with `gathered` samples.
pub fn mse(gathered: Option<usize>) -> Box<dyn Op> {
    let mse = Mse {
        rows: 70,
        classes: 5,
        scale: 0.4,
    };
    loss(RowLoss::Mse(mse), gathered)
}

/// Cross-entropy with the labels of the batch, or of a data set with `gathered` samples.
pub fn cross_entropy(gathered: Option<usize>) -> Box<dyn Op> {
    let cross_entropy = CrossEntropy {
        rows: 70,
        classes: 5,
    };
    loss(RowLoss::CrossEntropy(cross_entropy), gathered)
}

pub fn mutants() -> Vec<Planted> {
    let bias = |relu| Epilogue::Bias {
        of_rows: true,
        relu,
    };
    let forward = || {
        Box::new(ConvForward {
            sizes: sizes((2, 1)),
            bias: true,
            relu: true,
            tile: None,
        })
    };
    let backward_input = || {
        Box::new(ConvBackwardInput {
            sizes: sizes((2, 1)),
            tile: None,
        })
    };
    let backward_weight = || {
        Box::new(ConvBackwardWeight {
            sizes: sizes((2, 1)),
            parts: 2,
            tile: None,
        })
    };
    let dilated_forward = || {
        Box::new(ConvForward {
            sizes: dilated(),
            bias: true,
            relu: false,
            tile: None,
        })
    };
    let dilated_input = || {
        Box::new(ConvBackwardInput {
            sizes: dilated(),
            tile: None,
        })
    };
    let dilated_weight = || {
        Box::new(ConvBackwardWeight {
            sizes: dilated(),
            parts: 2,
            tile: None,
        })
    };
    let rectified = || {
        Box::new(MaxPoolForward {
            geometry: geometry(),
            relu: true,
        })
    };
    let disjoint = || {
        Box::new(MaxPoolBackward {
            geometry: apart(),
            disjoint: true,
        })
    };
    let mut planted: Vec<Planted> = vec![
        (
            "bias of columns, not rows",
            product("gemm_4x4/16", bias(false)),
            "select(n, m, BIAS_OF_ROWS)",
            "n",
        ),
        (
            "ReLU forgotten",
            product("gemm_4x4/64", bias(true)),
            "RELU && !passes(value)",
            "false",
        ),
        (
            "mask forgotten",
            product("gemm_4x4/16", Epilogue::ReluGradient),
            "MASKED && ",
            "false && ",
        ),
        (
            "a factor for each, not shared",
            product("gemm_4x4/64", Epilogue::Plain),
            "select(batch * M * K, 0u, A_SHARED)",
            "batch * M",
        ),
        (
            "last column of A left out",
            product("gemm_4x4/16", Epilogue::RowSums),
            "sums += a_column(tile.z, tile.x, k)",
            "sums += select(a_column(tile.z, tile.x, k), vec4<f32>(), k == K - 1u)",
        ),
        (
            "blocks changed places",
            product("gemm_8x8/64", Epilogue::Plain),
            "store_block(tile.z, tile.x, tile.y + 4u, rows01)",
            "store_block(tile.z, tile.x, tile.y + 4u, rows10)",
        ),
        (
            "factor not transposed",
            product("gemm_8x8/16", bias(true)),
            "return transpose(mat4x4<f32>(b[at]",
            "return (mat4x4<f32>(b[at]",
        ),
        (
            "bias of one row for four",
            product("gemm_8x8/16", bias(false)),
            "row_biases.w",
            "row_biases.z",
        ),
        (
            "mask of another row",
            product("gemm_8x8/64", Epilogue::ReluGradient),
            "passes_four(extra[index])",
            "passes_four(extra[index / 2u])",
        ),
        (
            "sums of the first rows only",
            product("gemm_8x8/64", Epilogue::RowSums),
            "sum_rows(tile.z, tile.x + 4u)",
            "sum_rows(tile.z, tile.x)",
        ),
        (
            "a lane left out",
            product("gemm_lanes/64", Epilogue::Plain),
            "WORKGROUP_SIZE / 2u; half > 0u",
            "WORKGROUP_SIZE / 2u; half > 1u",
        ),
        (
            "lanes overlap",
            product("gemm_lanes/64", Epilogue::Plain),
            "k += WORKGROUP_SIZE",
            "k += WORKGROUP_SIZE - 1u",
        ),
        (
            "last output channel left out",
            forward(),
            "if o >= O || index",
            "if o >= O - 1u || index",
        ),
        (
            "stride forgotten",
            forward(),
            "left.h * STRIDE_H + h",
            "left.h + h",
        ),
        ("bias forgotten", forward(), "value += bias[o];", ""),
        (
            "kernel rotated",
            backward_input(),
            "h = pixels.h + PAD_H - kh",
            "h = pixels.h + PAD_H - (KH - 1u - kh)",
        ),
        (
            "dilation of the rows ignored",
            dilated_forward(),
            "kh * DILATION_H",
            "kh",
        ),
        (
            "dilation of the columns ignored",
            dilated_forward(),
            "kw * DILATION_W",
            "kw",
        ),
        (
            "dilation of the rows ignored",
            dilated_input(),
            "PAD_H - kh * DILATION_H",
            "PAD_H - kh",
        ),
        (
            "dilation of the columns ignored",
            dilated_input(),
            "PAD_W - kw * DILATION_W",
            "PAD_W - kw",
        ),
        (
            "dilation of the rows ignored",
            dilated_weight(),
            "% KH * DILATION_H",
            "% KH",
        ),
        (
            "dilation of the columns ignored",
            dilated_weight(),
            "% KW * DILATION_W",
            "% KW",
        ),
        (
            "remainder of the stride ignored",
            backward_input(),
            " & (oh * STRIDE_H == h)",
            "",
        ),
        (
            "last image of a part left out",
            backward_weight(),
            "min((part + 1u) * part_len, positions)",
            "min((part + 1u) * part_len, positions) - 1u",
        ),
        (
            "padding not zero",
            backward_weight(),
            "bitcast<vec4<f32>>(vec4<u32>(this_step.zero)), values",
            "vec4<f32>(1.0), values",
        ),
        (
            "bias of the first rows only",
            backward_weight(),
            "= bottom_bias[i - 4u]",
            "= top_bias[i - 4u]",
        ),
        (
            "mean forgotten",
            mse(None),
            "error * (SCALE * this_step.inverse_rows)",
            "error * SCALE",
        ),
        ("rest not cleared", mse(None), "d_logits[i] = 0u;", ""),
        (
            "rows beyond the batch count",
            cross_entropy(None),
            "row < this_step.rows; row += WORKGROUP_SIZE) {\n        let first",
            "row < ROWS; row += WORKGROUP_SIZE) {\n        let first",
        ),
        (
            "maximum not subtracted",
            cross_entropy(None),
            "let shifted = bitcast<f32>(bits) - largest;",
            "let shifted = bitcast<f32>(bits);",
        ),
        (
            "last largest counts",
            mse(None),
            "key > best_key",
            "key >= best_key",
        ),
        (
            "ReLU before the pool forgotten",
            rectified(),
            "!RELU || best > ZERO_KEY",
            "true",
        ),
        (
            "what no window covers left out",
            disjoint(),
            "(W + KW - 1u) / KW",
            "OW",
        ),
        (
            "gradient for the whole window",
            disjoint(),
            "select(0.0, gradient, pixel == winner)",
            "gradient",
        ),
        (
            "no pixel is pixel 0",
            rectified(),
            "select(NO_PIXEL, winner, passes)",
            "select(0u, winner, passes)",
        ),
    ];
    let subgroup = product("gemm_subgroup/64", Epilogue::RowSums);
    planted.extend([
        (
            "a row of another lane",
            product("gemm_broadcast/64", Epilogue::Plain),
            "subgroupBroadcast(own, 3u)",
            "subgroupBroadcast(own, 2u)",
        ),
        (
            "the third eight rows for the fourth",
            product("gemm_broadcast/16", Epilogue::Plain),
            "pass_around(own[3])",
            "pass_around(own[2])",
        ),
        (
            "sums of the first eight rows only",
            product("gemm_broadcast/16", Epilogue::RowSums),
            "half.own_sums[3]",
            "half.own_sums[0]",
        ),
        (
            "upper half of a tall tile twice",
            product("gemm_broadcast_tall/16", Epilogue::Plain),
            "at.x + HALF_M, at.y, tile.lower",
            "at.x + HALF_M, at.y, tile.upper",
        ),
        (
            "sums of a tall tile's upper half only",
            product("gemm_broadcast_tall/64", Epilogue::RowSums),
            "at.x + HALF_M, at.y, tile.lower);\n}",
            "at.x, at.y, tile.lower);\n}",
        ),
        (
            "only the first of the batch",
            product("gemm_broadcast/16", bias(true)),
            "column / tiles_n);",
            "0u);",
        ),
    ]);
    planted.push(("subgroups not added", subgroup, "total += partial[i];", ""));
    planted
}
