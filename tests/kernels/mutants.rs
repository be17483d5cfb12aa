//! A check that cannot fail is a defect: wrong kernels, each of which the comparison must catch.

use wgrad::ops::{
    Args, BiasBackward, BiasForward, Bindings, Col2im, Cost, CrossEntropy, ErrorBound, Gather,
    Gemm, Im2col, MaxPoolBackward, MaxPoolForward, Metrics, Mse, Op, Operand, ReduceSum,
    ReluBackward, ReluForward, SgdMomentum, Step,
};
use wgrad::shape::{Window, WindowedPlanes};

use super::{common, reports};

/// An op with its kernel's text changed in one place, and the true reference.
#[derive(Debug)]
struct Mutant {
    op: Box<dyn Op>,
    shader: &'static str,
}

impl Mutant {
    fn new(op: Box<dyn Op>, from: &str, to: &str) -> Self {
        let original = op.shader();
        assert!(original.contains(from), "{}: no `{from}`", op.name());
        let shader = Box::leak(original.replacen(from, to, 1).into_boxed_str());
        Mutant { op, shader }
    }
}

impl Op for Mutant {
    fn name(&self) -> &'static str {
        self.op.name()
    }
    fn shader(&self) -> &'static str {
        self.shader
    }
    fn bindings(&self) -> Bindings {
        self.op.bindings()
    }
    fn constants(&self) -> Vec<(&'static str, f64)> {
        self.op.constants()
    }
    fn invocations(&self) -> u64 {
        self.op.invocations()
    }
    fn uses_step(&self) -> bool {
        self.op.uses_step()
    }
    fn cost(&self) -> Cost {
        self.op.cost()
    }
    fn reference(&self, args: &mut Args<'_>) {
        self.op.reference(args);
    }
    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        self.op.error_bounds(args)
    }
}

fn geometry() -> WindowedPlanes {
    let window = Window {
        kernel: (3, 2).into(),
        stride: (2, 1).into(),
        padding: (1, 1).into(),
    };
    WindowedPlanes::new(4, (8, 9).into(), window, "mutant").unwrap()
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

/// Each wrong kernel: what was done to it, the op, the text and its replacement.
fn mutants() -> Vec<(&'static str, Box<dyn Op>, &'static str, &'static str)> {
    let geometry = geometry();
    let (rows, classes) = (70, 5);
    let relu = || Box::new(ReluForward { len: 70 });
    let reduce = || {
        Box::new(ReduceSum {
            parts: 5,
            len: 7,
            accumulate: true,
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
        })
    };
    let gather = || {
        Box::new(Gather {
            rows: 5,
            sample_len: 7,
            samples: 70,
        })
    };
    vec![
        (
            "axes of the stride swapped",
            Box::new(Im2col { geometry }),
            "STRIDE_H + cell",
            "STRIDE_W + cell",
        ),
        (
            "padding forgotten",
            Box::new(Im2col { geometry }),
            "- PAD_H",
            "",
        ),
        (
            "padding not zero",
            Box::new(Im2col { geometry }),
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
            "|| (h - kh) % STRIDE_H != 0u",
            "",
        ),
        (
            "one position too many",
            Box::new(Col2im { geometry }),
            "|| oh >= OH",
            "",
        ),
        (
            "last maximum wins",
            Box::new(MaxPoolForward { geometry }),
            "key > best",
            "key >= best",
        ),
        (
            "floats compared by their bits",
            Box::new(MaxPoolForward { geometry }),
            "return ~bits;",
            "return bits;",
        ),
        (
            "index of the batch, not the plane",
            Box::new(MaxPoolForward { geometry }),
            "winner = h * W + w",
            "winner = plane + h * W + w",
        ),
        (
            "first window left out",
            Box::new(MaxPoolBackward { geometry }),
            "stride + 1u, 0u",
            "stride + 1u, 1u",
        ),
        (
            "last window left out",
            Box::new(MaxPoolBackward { geometry }),
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
            "part < PARTS",
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
            "passes(activated[index])",
            "passes(d_output[index])",
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
            "sum += exp(logits[first + c] - largest)",
            "sum += exp(logits[first + c])",
        ),
        (
            "loss without its logarithm",
            Box::new(CrossEntropy { rows, classes }),
            "log(sum)",
            "sum",
        ),
        (
            "a barrier missing",
            metrics(),
            "        workgroupBarrier();\n",
            "",
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
            "momentum dropped",
            sgd(),
            "MOMENTUM * velocity[index]",
            "velocity[index]",
        ),
        (
            "ascends",
            sgd(),
            "parameter - this_step.learning_rate * updated",
            "parameter + this_step.learning_rate * updated",
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

#[test]
fn every_wrong_kernel_is_caught() {
    let Some(device) = common::gpu() else { return };
    let step = Step::new(3, 66, 2, 0.1);
    let gather_step = Step::new(3, 4, 2, 0.1);
    for (what, op, from, to) in mutants() {
        let name = op.name();
        let mut inputs = super::random_inputs(op.as_ref(), 11);
        match name {
            "max_pool_backward" => {
                inputs[0] = (0..inputs[0].len() as u32).map(|i| i % 72).collect()
            }
            "mse" | "cross_entropy" => inputs[1] = (0..70).map(|i| i % 5).collect(),
            "metrics" => {
                inputs[1] = vec![0x3f80_0000; 350];
                inputs[2] = (0..70).map(|i| i % 5).collect();
            }
            "gather" => inputs[2] = (0..70).rev().collect(),
            "relu_forward" => inputs[0][0] = (-f32::NAN).to_bits(),
            _ => {}
        }
        if name == "cross_entropy" {
            inputs[0] = (0..350)
                .map(|i| (0.3 * (i % 7) as f32 + 1.0).to_bits())
                .collect();
        }
        let outputs = op.bindings().outputs;
        let before: Vec<Vec<u32>> = outputs
            .iter()
            .map(|(_, len)| vec![0x3f80_0000; *len])
            .collect();
        let step = if name == "gather" { gather_step } else { step };
        let mutant = Mutant::new(op, from, to);
        let found = reports(&device, mutant, &inputs, &before, &step);
        assert!(
            found
                .iter()
                .any(|report| !report.is_right() && report.op == name),
            "{name}: {what}: not caught\n{from} → {to}"
        );
        println!("caught in {name}: {what}");
    }
}
