//! Ops with the longest loops allowed: the loop lengths they declare are not too short.

use crate::common;
use wgrad::ops::{
    AvgPoolForward, BatchNormBackwardReduce, BatchNormStatistics, BiasBackward, Col2im,
    ConvBackwardInput, ConvBackwardWeight, ConvForward, ConvPoolForward, ConvSizes, CrossEntropy,
    Epilogue, FusedLoss, Gemm, MaxPoolBackward, MaxPoolBackwardAll, MaxPoolForward, Metrics, Mse,
    Op, Operand, Pool, Product, ReduceSum, RowLoss,
};
use wgrad::plan::{Builder, Phase};
use wgrad::shape::{Window, WindowedPlanes};
use wgrad::{Device, Result};

/// Loads a plan of one op; returns only errors.
fn load(device: &Device, op: Box<dyn Op>) -> Result<()> {
    let mut plan = Builder::new(false);
    let (inputs, outputs) = plan.tensors_of(op.as_ref())?;
    plan.boxed_op(Phase::Forward, op, &inputs, &outputs)?;
    wgrad::block_on(device.load(plan.finish())).map(drop)
}

/// An op as a function of its size.
type BySize = Box<dyn Fn(usize) -> Box<dyn Op>>;

/// The largest such op whose longest loop is within `limit`.
fn longest(limit: u64, op: &dyn Fn(usize) -> Box<dyn Op>) -> Box<dyn Op> {
    let (mut fits, mut exceeds) = (1, 1 << 22);
    while exceeds - fits > 1 {
        let size = (fits + exceeds) / 2;
        match op(size).launch().longest_loop <= limit {
            true => fits = size,
            false => exceeds = size,
        }
    }
    op(fits)
}

fn conv(
    batch: usize,
    channels: [usize; 2],
    plane: (usize, usize),
    kernel: (usize, usize),
) -> ConvSizes {
    let window = Window::new(kernel);
    let [in_channels, out_channels] = channels;
    let planes = batch * in_channels;
    let geometry = WindowedPlanes::new(planes, plane.into(), window, "conv").unwrap();
    ConvSizes {
        batch,
        in_channels,
        out_channels,
        geometry,
    }
}

/// Ops with the longest loops allowed are correct: the loop lengths they declare are not too short.
#[test]
fn the_longest_loops_allowed_are_complete() {
    let Some(device) = common::gpu() else { return };
    let rows = 200;
    let metrics = move |classes| Metrics {
        rows,
        classes,
        slots: 1,
    };
    let mse = move |classes| Mse {
        rows,
        classes,
        scale: 1.0,
    };
    let pool = |size: usize| conv(1, [1, 1], (size, 7), (size, 5)).geometry;
    let column = |size: usize| conv(1, [1, 2], (size, 2), (1, 2));
    let ops: Vec<BySize> = vec![
        Box::new(|size| {
            Box::new(BatchNormStatistics {
                rows: size,
                channels: 1,
                area: 1,
                eps: 0.125,
                momentum: 0.5,
            })
        }),
        Box::new(|size| {
            Box::new(BatchNormBackwardReduce {
                rows: size,
                channels: 1,
                area: 1,
                accumulate: false,
            })
        }),
        Box::new(|size| {
            Box::new(BiasBackward {
                rows: 3,
                area: size,
            })
        }),
        Box::new(|size| {
            let pool = Pool::global(3, size);
            Box::new(AvgPoolForward { pool })
        }),
        Box::new(|size| Box::new(ReduceSum::new(size, 3))),
        Box::new(|size| Box::new(Gemm::new(1, [5, 3, size], Operand::PLAIN, Operand::PLAIN))),
        Box::new(|size| {
            Box::new(ConvForward {
                sizes: conv(1, [size, 3], (4, 5), (3, 2)),
                bias: true,
                relu: true,
                tile: None,
            })
        }),
        Box::new(|size| {
            Box::new(ConvBackwardInput {
                sizes: conv(1, [3, size], (4, 5), (3, 2)),
                tile: None,
            })
        }),
        Box::new(move |size| {
            Box::new(ConvBackwardWeight {
                sizes: column(size),
                parts: 1,
                tile: None,
            })
        }),
        Box::new(|size| {
            let sizes = conv(1, [size, 2], (5, 5), (3, 2));
            Box::new(ConvPoolForward {
                sizes,
                gathered: None,
            })
        }),
        Box::new(move |size| {
            Box::new(Col2im {
                geometry: pool(size),
            })
        }),
        Box::new(move |size| {
            Box::new(MaxPoolForward {
                geometry: pool(size),
                relu: false,
            })
        }),
        Box::new(move |size| {
            Box::new(MaxPoolBackward {
                geometry: pool(size),
                disjoint: false,
            })
        }),
        Box::new(move |size| {
            Box::new(MaxPoolBackwardAll {
                geometry: pool(size),
            })
        }),
        Box::new(|classes| Box::new(CrossEntropy { rows: 3, classes })),
        Box::new(move |classes| Box::new(mse(classes))),
        Box::new(move |classes| Box::new(metrics(classes))),
        Box::new(move |classes| {
            let loss = RowLoss::Mse(mse(classes));
            Box::new(FusedLoss {
                loss,
                metrics: metrics(classes),
                gathered: None,
            })
        }),
    ];
    // The device's limit is known once something has been loaded.
    load(&device, Box::new(ReduceSum::new(1, 1))).unwrap();
    let granted = device
        .adapter()
        .and_then(|adapter| adapter.longest_loop())
        .unwrap();
    let mut all: Vec<_> = ops
        .iter()
        .map(|op| longest(granted.min(65_535), op))
        .collect();
    let product = |size: usize| Product::new([64, 4, 4 * size], [false, true], Epilogue::RowSums);
    for kernel in product(1).variants() {
        let named = |size: usize| {
            let mut variants = product(size).variants().into_iter();
            variants
                .find(|variant| variant.name == kernel.name)
                .unwrap()
                .op
        };
        // Kernels that split K among lanes would need more memory than adapters can bind.
        let op = longest(granted.min(65_535), &named);
        if device.adapter().is_some_and(|a| a.has_subgroups()) || !op.launch().needs_subgroups {
            all.extend((op.cost().bytes < 256 << 20).then_some(op));
        }
    }
    for op in all {
        let name = format!("{op:?}");
        let rounds = op.launch().longest_loop;
        println!("{rounds} rounds: {name}");
        load(&device, op).unwrap_or_else(|error| panic!("{error}"));
    }
}
