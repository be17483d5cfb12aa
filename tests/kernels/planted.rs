//! Planted faults, each a small change to a kernel.

use wgrad::ops::{
    BiasBackward, BiasForward, Col2im, CrossEntropy, Gather, Gemm, Im2col, MaxPoolBackward,
    MaxPoolBackwardAll, MaxPoolForward, Metrics, Mse, Op, Operand, ReduceSum, ReluBackward,
    ReluForward, Sgd, SgdMomentum, Zero,
};
use wgrad::shape::{Window, WindowedPlanes};

const STORED_WITH_BARRIER: &str = "    counts[lane] = count;

    // A tree: each round adds the upper half of the lanes to the lower.
    for (var half = WORKGROUP_SIZE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
";
/// Clears first what the workgroup before may have left: its right sums.
const STORED_WITHOUT_BARRIER: &str = "    losses[lane] = 0.0;
    counts[lane] = 0u;
    workgroupBarrier();
    losses[lane] = loss;
    counts[lane] = count;
    for (var half = WORKGROUP_SIZE / 2u; half > 0u; half /= 2u) {
";

pub fn geometry() -> WindowedPlanes {
    let window = Window {
        stride: (2, 1).into(),
        padding: (1, 1).into(),
        ..Window::new((3, 2))
    };
    WindowedPlanes::new(4, (8, 9).into(), window, "mutant").unwrap()
}

/// Dilated filters, on planes whose size is a multiple of four.
fn dilated() -> WindowedPlanes {
    let window = Window {
        dilation: (2, 3).into(),
        ..geometry().window
    };
    WindowedPlanes::new(4, (9, 9).into(), window, "mutant").unwrap()
}

fn gemm() -> Box<dyn Op> {
    Box::new(Gemm {
        batch: 2,
        m: 5,
        n: 6,
        k: 7,
        a: Operand::PLAIN,
        b: Operand::TRANSPOSED,
        split_k: 2,
        accumulate: false,
    })
}

/// The wrong kernels: the change, the op, the text and its replacement.
pub fn mutants() -> Vec<(&'static str, Box<dyn Op>, &'static str, &'static str)> {
    let (geometry, dilated) = (geometry(), dilated());
    let (rows, classes) = (70, 5);
    let relu = || Box::new(ReluForward { len: 70 });
    let reduce = || {
        Box::new(ReduceSum {
            accumulate: true,
            ..ReduceSum::new(5, 7)
        })
    };
    let metrics = || {
        Box::new(Metrics {
            rows,
            classes,
            slots: 4,
        })
    };
    let mse = || {
        Box::new(Mse {
            rows,
            classes,
            scale: 0.4,
        })
    };
    let sgd = || {
        Box::new(SgdMomentum {
            len: 70,
            weight_decay: 0.1,
            momentum: 0.9,
            nesterov: false,
            selective: false,
        })
    };
    let gather = || {
        Box::new(Gather {
            rows: 70,
            sample_len: 7,
            samples: 70,
        })
    };
    vec![
        (
            "all but the ties",
            Box::new(MaxPoolBackwardAll { geometry }),
            "key == ordered_key",
            "key != ordered_key",
        ),
        (
            "learning rate ignored",
            Box::new(Sgd {
                len: 70,
                weight_decay: 0.1,
                selective: false,
            }),
            "this_step.learning_rate * gradient",
            "gradient",
        ),
        (
            "not cleared",
            Box::new(Zero { len: 70 }),
            "= 0.0",
            "= 0.5 * values[index]",
        ),
        (
            "axes of the stride swapped",
            Box::new(Im2col {
                geometry,
                fours: false,
            }),
            "STRIDE_H + cell",
            "STRIDE_W + cell",
        ),
        (
            "padding forgotten",
            Box::new(Im2col {
                geometry,
                fours: false,
            }),
            "- PAD_H",
            "",
        ),
        (
            "padding not zero",
            Box::new(Im2col {
                geometry,
                fours: false,
            }),
            "var value = 0.0",
            "var value = 1.0",
        ),
        (
            "kernel rotated",
            Box::new(Col2im { geometry }),
            "(plane * KH + kh) * KW + kw",
            "(plane * KH + KH - 1u - kh) * KW + KW - 1u - kw",
        ),
        (
            "stride ignored",
            Box::new(Col2im { geometry }),
            "|| (h - cell_h) % STRIDE_H != 0u",
            "",
        ),
        (
            "one position too many",
            Box::new(Col2im { geometry }),
            "|| oh >= OH",
            "",
        ),
        (
            "dilation of the rows ignored",
            Box::new(Im2col {
                geometry: dilated,
                fours: false,
            }),
            "cell / KW * DILATION_H",
            "cell / KW",
        ),
        (
            "dilation of the columns ignored",
            Box::new(Im2col {
                geometry: dilated,
                fours: false,
            }),
            "cell % KW * DILATION_W",
            "cell % KW",
        ),
        (
            "dilation of the rows ignored",
            Box::new(Im2col {
                geometry: dilated,
                fours: true,
            }),
            "(quads * KH * KW);\n    let h = position / OW * STRIDE_H + cell / KW * DILATION_H",
            "(quads * KH * KW);\n    let h = position / OW * STRIDE_H + cell / KW",
        ),
        (
            "dilation of the rows ignored",
            Box::new(Col2im { geometry: dilated }),
            "kh * DILATION_H",
            "kh",
        ),
        (
            "dilation of the columns ignored",
            Box::new(Col2im { geometry: dilated }),
            "kw * DILATION_W",
            "kw",
        ),
        (
            "last maximum wins",
            Box::new(MaxPoolForward {
                geometry,
                relu: false,
            }),
            "key > best",
            "key >= best",
        ),
        (
            "floats compared by their bits",
            Box::new(MaxPoolForward {
                geometry,
                relu: false,
            }),
            "return ~bits;",
            "return bits;",
        ),
        (
            "index of the batch, not the plane",
            Box::new(MaxPoolForward {
                geometry,
                relu: false,
            }),
            "winner = h * W + w",
            "winner = plane + h * W + w",
        ),
        (
            "first window left out",
            Box::new(MaxPoolBackward {
                geometry,
                disjoint: false,
            }),
            "stride + 1u, 0u",
            "stride + 1u, 1u",
        ),
        (
            "last window left out",
            Box::new(MaxPoolBackward {
                geometry,
                disjoint: false,
            }),
            "padded / stride + 1u, count",
            "padded / stride, count",
        ),
        ("inner loop one short", gemm(), "k < end", "k + 1u < end"),
        (
            "parts overlap",
            gemm(),
            "let end = min(begin + part_len, K)",
            "let end = min(begin + part_len + 1u, K)",
        ),
        (
            "edge of the tile not stored",
            gemm(),
            "n >= N",
            "n + 1u >= N",
        ),
        (
            "a row of the tile repeated",
            gemm(),
            "a[from_row.y]",
            "a[from_row.x]",
        ),
        (
            "accumulates nothing",
            reduce(),
            "total = sum[index]",
            "total = 0.0",
        ),
        (
            "last part left out",
            reduce(),
            "part < end",
            "part + 1u < PARTS",
        ),
        (
            "bias of another channel",
            Box::new(BiasForward {
                batch: 2,
                channels: 5,
                area: 7,
            }),
            "% CHANNELS",
            "/ CHANNELS",
        ),
        (
            "last pixel left out",
            Box::new(BiasBackward { rows: 10, area: 7 }),
            "p < AREA",
            "p + 1u < AREA",
        ),
        ("below zero passes", relu(), "> 0;", "< 0;"),
        ("NaN does not pass", relu(), "is_nan ||", ""),
        (
            "masked by the gradient",
            Box::new(ReluBackward { len: 70 }),
            "passes_bits(activated[index])",
            "passes_bits(d_output[index])",
        ),
        (
            "target of another class",
            mse(),
            "labels[row] == c",
            "labels[row] == c + 1u",
        ),
        (
            "rows beyond the batch count",
            mse(),
            "row < this_step.rows",
            "row < ROWS",
        ),
        (
            "gradient not averaged",
            mse(),
            "* this_step.inverse_rows",
            "",
        ),
        (
            "maximum not subtracted",
            Box::new(CrossEntropy { rows, classes }),
            "let shifted = bitcast<f32>(bits) - largest;",
            "let shifted = bitcast<f32>(bits);",
        ),
        (
            "loss without its logarithm",
            Box::new(CrossEntropy { rows, classes }),
            "log(row.sum)",
            "row.sum",
        ),
        (
            "a barrier missing",
            metrics(),
            STORED_WITH_BARRIER,
            STORED_WITHOUT_BARRIER,
        ),
        (
            "half of the lanes not added",
            metrics(),
            "WORKGROUP_SIZE / 2u; half > 0u",
            "WORKGROUP_SIZE / 4u; half > 0u",
        ),
        (
            "last largest wins",
            metrics(),
            "key > best_key",
            "key >= best_key",
        ),
        (
            "another slot",
            metrics(),
            "loss_sum[this_step.slot]",
            "loss_sum[0]",
        ),
        (
            "velocity not looked ahead",
            Box::new(SgdMomentum {
                len: 70,
                weight_decay: 0.1,
                momentum: 0.9,
                nesterov: true,
                selective: false,
            }),
            "gradient + MOMENTUM * updated",
            "gradient + updated",
        ),
        (
            "momentum dropped",
            sgd(),
            "MOMENTUM * velocity[index]",
            "velocity[index]",
        ),
        (
            "ascends",
            sgd(),
            "parameter - this_step.learning_rate * direction",
            "parameter + this_step.learning_rate * direction",
        ),
        (
            "bytes in the other order",
            gather(),
            "index % 4u * 8u",
            "24u - index % 4u * 8u",
        ),
        ("offset ignored", gather(), "this_step.offset + row", "row"),
    ]
}
