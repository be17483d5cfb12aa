//! Kernels that end a loop one iteration early, at sizes that verification does not draw: the spot
//! check by itself refuses each of them, and accepts the correct ones.

use wgrad::ops::{
    AvgPoolForward, BatchNormBackwardReduce, BatchNormBackwardSums, BatchNormMoments,
    BatchNormStatistics, BiasBackward, Col2im, ConvBackwardInput, ConvBackwardWeight, ConvForward,
    ConvPoolBackwardWeight, ConvPoolForward, ConvSizes, CrossEntropy, Epilogue, FusedLoss, Gemm,
    MaxPoolBackward, MaxPoolBackwardAll, MaxPoolForward, Metrics, Mse, Op, Operand, Pool, Product,
    ReduceSum, RowLoss,
};
use wgrad::plan::{Builder, Phase};
use wgrad::shape::{Window, WindowedPlanes};
use wgrad::{Device, Error};

use super::common;
use super::common::altered::Altered;

/// A K just below the loop limit of llvmpipe.
const LONG: usize = 65_528;

/// An op, and a change to its kernel that ends a loop early.
type Fault = (Box<dyn Op>, &'static str, &'static str);

fn product(kernel: &str, k: usize, epilogue: Epilogue) -> Box<dyn Op> {
    let product = Product::new([64, 8, k], [false, true], epilogue);
    let mut variants = product.variants().into_iter();
    let named = variants.find(|variant| variant.name == format!("{kernel}/64"));
    named.expect("a kernel of that name").op
}

fn products() -> Vec<Fault> {
    let gemm = Gemm::new(1, [5, 3, LONG], Operand::PLAIN, Operand::TRANSPOSED);
    let mut faults: Vec<Fault> = vec![(Box::new(gemm), "k < end", "k < end - 1u")];
    let short = [
        ("gemm_4x4", LONG, "k < K - 1u; k"),
        ("gemm_8x8", LONG, "k < K - 4u; k"),
        ("gemm_lanes", LONG, "k < K - 1u; k"),
        ("gemm_subgroup", LONG, "k < K - 1u; k"),
        ("gemm_workgroup", LONG / 2, "k < K - 16u; k"),
    ];
    for (kernel, k, to) in short {
        for epilogue in [Epilogue::Plain, Epilogue::ReluGradient] {
            faults.push((product(kernel, k, epilogue), "k < K; k", to));
        }
    }
    for kernel in [
        "gemm_broadcast",
        "gemm_broadcast_tall",
        "gemm_broadcast_any",
    ] {
        let product = product(kernel, LONG, Epilogue::RowSums);
        faults.push((product, "k < depth", "k + 4u < depth"));
    }
    faults
}

fn sizes(batch: usize, channels: [usize; 2], plane: (usize, usize), kernel: usize) -> ConvSizes {
    let window = Window {
        padding: (kernel / 2).into(),
        ..Window::new(kernel)
    };
    let geometry = WindowedPlanes::new(batch * channels[0], plane.into(), window, "sizes").unwrap();
    let [in_channels, out_channels] = channels;
    ConvSizes {
        batch,
        in_channels,
        out_channels,
        geometry,
    }
}

fn convolutions() -> Vec<Fault> {
    let (many, large) = (
        sizes(2, [900, 8], (9, 7), 3),
        sizes(3, [2, 5], (131, 97), 4),
    );
    let channels = sizes(2, [8, 900], (9, 7), 3);
    let pooled = |gathered: Option<usize>| ConvPoolBackwardWeight {
        sizes: large,
        gathered,
        accumulate: true,
        is_wide: gathered.is_some(),
    };
    vec![
        (
            Box::new(ConvForward {
                sizes: many,
                bias: true,
                relu: false,
                tile: None,
            }),
            "c < C; c",
            "c < C - 1u; c",
        ),
        (
            Box::new(ConvBackwardInput {
                sizes: channels,
                tile: None,
            }),
            "o < O; o",
            "o < O - 1u; o",
        ),
        (
            Box::new(ConvBackwardWeight {
                sizes: large,
                parts: 2,
                tile: None,
            }),
            "min((part + 1u) * part_len, positions)",
            "min((part + 1u) * part_len, positions) - 1u",
        ),
        (
            Box::new(ConvPoolForward {
                sizes: sizes(2, [40, 8], (12, 10), 3),
                gathered: None,
            }),
            "c < C; c",
            "c < C - 1u; c",
        ),
        (
            Box::new(pooled(None)),
            "i < BATCH * tiles",
            "i < BATCH * tiles - 1u",
        ),
        (
            Box::new(pooled(Some(9))),
            "i < BATCH * tiles",
            "i < BATCH * tiles - 1u",
        ),
    ]
}

fn others() -> Vec<Fault> {
    let (rows, classes) = (3000, 37);
    let geometry = sizes(1, [2, 2], (60, 50), 40).geometry;
    let metrics = || Metrics {
        rows,
        classes,
        slots: 3,
    };
    let mse = || Mse {
        rows,
        classes,
        scale: 0.5,
    };
    let fused = FusedLoss {
        loss: RowLoss::Mse(mse()),
        metrics: metrics(),
        gathered: Some(rows + 5),
    };
    vec![
        (
            Box::new(BiasBackward {
                rows: 3,
                area: LONG,
            }),
            "p < AREA",
            "p < AREA - 1u",
        ),
        (
            Box::new(AvgPoolForward {
                pool: Pool::global(3, LONG),
            }),
            "w < pixels.end.y",
            "w < pixels.end.y - 1u",
        ),
        (
            Box::new(ReduceSum::new(LONG, 5)),
            "part < end",
            "part < end - 1u",
        ),
        (Box::new(Col2im { geometry }), "kh < KH", "kh < KH - 1u"),
        (
            Box::new(MaxPoolForward {
                geometry,
                relu: false,
            }),
            "kh < KH",
            "kh < KH - 9u",
        ),
        (
            Box::new(MaxPoolBackward {
                geometry,
                disjoint: false,
            }),
            "oh < rows.end",
            "oh + 1u < rows.end",
        ),
        (
            Box::new(MaxPoolBackwardAll { geometry }),
            "oh < rows.end; oh",
            "oh + 9u < rows.end; oh",
        ),
        (
            Box::new(metrics()),
            "row < this_step.rows",
            "row < this_step.rows - 1u",
        ),
        (Box::new(mse()), "c < CLASSES", "c < CLASSES - 1u"),
        (
            Box::new(CrossEntropy { rows, classes }),
            "sum += exp",
            "sum += f32(c > 0u) * exp",
        ),
        (
            Box::new(fused),
            "row < this_step.rows",
            "row < this_step.rows - 1u",
        ),
    ]
}

/// Planes in several parts, and more parts than a workgroup has lanes.
fn batch_norms() -> Vec<Fault> {
    let (rows, channels, area) = (900, 3, 250);
    let statistics = BatchNormStatistics {
        rows,
        channels,
        area,
        eps: 0.125,
        momentum: 0.5,
    };
    let moments = BatchNormMoments {
        rows,
        channels,
        area,
    };
    let sums = BatchNormBackwardSums {
        rows,
        channels,
        area,
        relu: true,
    };
    let reduce = BatchNormBackwardReduce {
        rows,
        channels,
        area,
        accumulate: false,
    };
    vec![
        (
            Box::new(moments.clone()),
            "i++) {\n        sum +=",
            "i += 1u + u32(i + 2u == end)) {\n        sum +=",
        ),
        (
            Box::new(moments),
            "i++) {\n        let",
            "i += 1u + u32(i + 2u == end)) {\n        let",
        ),
        (
            Box::new(statistics.clone()),
            "i += WORKGROUP_SIZE) {\n        let at = part_of_channel(channel, i);\n        sum",
            "i += WORKGROUP_SIZE) {\n        if i + 1u == parts { break; }\n        let at = part_of_channel(channel, i);\n        sum",
        ),
        (
            Box::new(statistics),
            "i += WORKGROUP_SIZE) {\n        let at = part_of_channel(channel, i);\n        let",
            "i += WORKGROUP_SIZE) {\n        if i + 1u == parts { break; }\n        let at = part_of_channel(channel, i);\n        let",
        ),
        (Box::new(sums), "i < end", "i < end - 1u"),
        (
            Box::new(reduce),
            "i < this_step.rows * PARTS",
            "i < this_step.rows * PARTS - 1u",
        ),
    ]
}

/// Loads a plan of one op; returns only errors.
fn load(device: &Device, op: Box<dyn Op>) -> wgrad::Result<()> {
    let mut plan = Builder::new(false);
    let (inputs, outputs) = plan.tensors_of(op.as_ref())?;
    plan.boxed_op(Phase::Forward, op, &inputs, &outputs)?;
    wgrad::block_on(device.load(plan.finish())).map(drop)
}

#[test]
fn the_spot_check_alone_refuses_loops_that_end_early() {
    let Some(device) = common::gpu() else { return };
    let subgroups = device
        .adapter()
        .is_some_and(|adapter| adapter.has_subgroups());
    let faults = products().into_iter().chain(convolutions());
    let faults = faults.chain(others()).chain(batch_norms());
    for (op, from, to) in faults.filter(|(op, ..)| subgroups || !op.launch().needs_subgroups) {
        let name = format!("{} {op:?}", op.name());
        load(&device, op.clone()).unwrap_or_else(|error| panic!("a right kernel: {error}"));
        let planted = load(
            &device,
            Box::new(Altered::new(op).kernel(from, |text| text.replace(from, to))),
        );
        let Err(Error::WrongKernel { what, .. }) = planted else {
            panic!("{name}: not caught: {from} → {to}: {planted:?}");
        };
        println!("refused: {what}");
    }
}
