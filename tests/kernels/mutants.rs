//! A check that cannot fail is a defect: wrong kernels, each of which the comparison must catch.

use wgrad::ops::{
    Args, BiasBackward, BiasForward, Bindings, Col2im, Cost, CrossEntropy, ErrorBound, Gather,
    Gemm, Im2col, MaxPoolBackward, MaxPoolBackwardAll, MaxPoolForward, Metrics, Mse, Op, Operand,
    ReduceSum, ReluBackward, ReluForward, Sgd, SgdMomentum, Step, Zero,
};
use wgrad::shape::{Window, WindowedPlanes};

use wgrad::executor::Executor;
use wgrad::plan::{Builder, Element, Phase, Role, TensorId};
use wgrad::verify::lockstep;

use super::common;

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

/// What a right max-pool reads and writes: input, output, indices.
fn pooled() -> (Vec<u32>, Vec<u32>, Vec<u32>) {
    let op = MaxPoolForward {
        geometry: geometry(),
    };
    let input = super::random_inputs(&op, 11).remove(0);
    let mut output = vec![0; op.bindings().outputs[0].1];
    let mut indices = output.clone();
    op.reference(&mut Args {
        inputs: vec![&input],
        outputs: vec![&mut output, &mut indices],
        step: &Step::new(0, 1, 0, 0.1),
    });
    (input, output, indices)
}

/// Inputs on which each fault shows.
fn inputs_of(op: &dyn Op) -> Vec<Vec<u32>> {
    let mut inputs = super::random_inputs(op, 11);
    let labels: Vec<u32> = (0..70).map(|i| i % 5).collect();
    match op.name() {
        "max_pool_backward" => inputs[0] = pooled().2,
        "max_pool_backward_all" => (inputs[0], inputs[1], _) = pooled(),
        "mse" => inputs[1] = labels,
        "cross_entropy" => {
            let logits = (0..350).map(|i| (0.3 * (i % 7) as f32 + 1.0).to_bits());
            inputs = vec![logits.collect(), labels];
        }
        "metrics" => {
            inputs[1] = vec![1f32.to_bits(); 350];
            inputs[2] = labels;
        }
        "gather" => inputs[2] = (0..70).rev().collect(),
        "relu_forward" => inputs[0][0] = (-f32::NAN).to_bits(),
        _ => {}
    }
    inputs
}

/// One plan with every op twice, right and with a fault planted: verification names the planted ones,
/// all of them and no other.
#[test]
fn every_planted_fault_is_named_and_no_right_op_is() {
    let Some(device) = common::gpu() else { return };
    let mut plan = Builder::new(false);
    let mut written = Vec::new();
    let mut add = |scope: String, op: Box<dyn Op>| {
        plan.set_scope(&scope);
        let outputs = op.bindings().outputs.into_iter();
        let before = outputs.map(|(_, len)| vec![1f32.to_bits(); len]);
        let words = inputs_of(op.as_ref()).into_iter().chain(before);
        let tensors: Vec<TensorId> = words
            .enumerate()
            .map(|(i, words)| {
                let name = format!("binding{i}");
                let tensor = plan
                    .tensor(&name, [words.len()], Element::U32, Role::Input)
                    .unwrap();
                written.push((tensor, words));
                tensor
            })
            .collect();
        let (inputs, outputs) = tensors.split_at(op.bindings().inputs.len());
        plan.boxed_op(Phase::Forward, op, inputs, outputs).unwrap();
    };
    for (number, (_, op, _, _)) in mutants().into_iter().enumerate() {
        add(format!("right{number}"), op);
    }
    for (number, (_, op, from, to)) in mutants().into_iter().enumerate() {
        add(
            format!("planted{number}"),
            Box::new(Mutant::new(op, from, to)),
        );
    }
    let reports = wgrad::block_on(async {
        let mut executor = device.load(plan.finish()).await.unwrap();
        for (tensor, words) in written {
            executor.write_words(tensor, &words).unwrap();
        }
        let Executor::Gpu(gpu) = &mut executor else {
            panic!("the device is no adapter");
        };
        let step = Step::new(3, 66, 2, 0.1);
        lockstep(gpu, &[Phase::Forward], &step).await.unwrap()
    });
    for report in &reports {
        let is_planted = report.tensor.starts_with("planted");
        assert!(
            is_planted || report.is_right(),
            "a right op is named: {report:?}"
        );
    }
    for (number, (what, op, from, to)) in mutants().into_iter().enumerate() {
        let scope = format!("planted{number}.");
        let mut own = reports
            .iter()
            .filter(|report| report.tensor.starts_with(&scope));
        let named = own.any(|report| !report.is_right() && report.op == op.name());
        assert!(named, "{}: {what}: not caught\n{from} → {to}", op.name());
        println!("caught in {}: {what}", op.name());
    }
}
