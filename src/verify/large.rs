//! Every op at sizes where drivers cut loops short and counters overflow: single elements against
//! the reference.

use super::{OutputReport, lanes};
use crate::cache::Cache;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::gpu::{Adapter, Workbench, check_loops, required_limits};
use crate::ops::{
    Activation, ActivationBackward, ActivationForward, Adam, Add, AvgPoolBackward, AvgPoolForward,
    BatchNormBackwardInput, BatchNormBackwardReduce, BatchNormBackwardSums, BatchNormForward,
    BatchNormInfer, BatchNormMoments, BatchNormStatistics, BiasBackward, BiasForward, Bins,
    Channels, Col2im, ConvBackwardInput, ConvBackwardWeight, ConvForward, ConvPoolBackwardWeight,
    ConvPoolForward, ConvSizes, CopySlice, CrossEntropy, Dropout, Epilogue, FusedLoss, Gather,
    Gemm, GroupNormBackwardInput, GroupNormBackwardRuns, GroupNormBackwardSums, GroupNormForward,
    GroupNormStatistics, Im2col, Interpolation, MaxPoolBackward, MaxPoolBackwardAll,
    MaxPoolForward, Metrics, Mse, Multiply, Op, Operand, Pool, Product, ReduceSum, ReluBackward,
    ReluForward, Resize, RowLoss, Runs, Sgd, SgdMomentum, SoftmaxBackward, SoftmaxForward,
    UpsampleBackward, UpsampleForward, WORKGROUP_SIZE, Zero,
};
use crate::plan::{Builder, Phase, Plan};
use crate::shape::{Window, WindowedPlanes};
use crate::spot;

/// K of the large products: a multiple of four, for vectorised kernels.
const K: usize = (1 << 20) + 8;

/// Elements of the large arrays.
const LEN: usize = (1 << 22) + 4;

/// Rows of the large batches, and classes.
const ROWS: usize = 2100;
const CLASSES: usize = 37;

/// Checks every op at large sizes, with every kernel that the adapter can run: K past 2²⁰ or up to
/// the loop limit, planes past 2¹⁸ pixels, batches past 2,048.
///
/// # Errors
/// The device is not an adapter, was lost or reported a fault. A wrong result is not an error but a
/// report.
pub async fn large(device: &Device) -> Result<Vec<OutputReport>> {
    let longest = Checker::new(device).await?.longest;
    let parts = lanes::parts(device, ops(longest)?);
    let reports = lanes::each(device, parts, |part| check(device, part)).await?;
    Ok(reports.into_iter().flatten().collect())
}

/// Checks `ops`, each in isolation.
async fn check(device: &Device, ops: Vec<Box<dyn Op>>) -> Result<Vec<OutputReport>> {
    let mut checker = Checker::new(device).await?;
    let mut reports = Vec::new();
    for op in ops {
        let mut plan = Builder::new(false);
        let (inputs, outputs) = plan.tensors_of(op.as_ref())?;
        plan.boxed_op(Phase::Forward, op, &inputs, &outputs)?;
        reports.extend(checker.check(plan.finish()).await?);
    }
    Ok(reports)
}

/// An adapter that checks the ops of plans at their own sizes.
pub(super) struct Checker<'a> {
    adapter: &'a Adapter,
    bench: Workbench,
    longest: u64,
}

impl<'a> Checker<'a> {
    pub async fn new(device: &'a Device) -> Result<Self> {
        let none = || Error::value("verification", "an adapter", "the CPU reference");
        let adapter = device.adapter().ok_or_else(none)?;
        let mut bench = Some(Workbench::open(adapter).await?);
        let mut cache = Cache::load(&adapter.to_string());
        let longest = spot::longest_loop(adapter, &mut bench, &mut cache).await?;
        let bench = bench.ok_or_else(none)?;
        Ok(Checker {
            adapter,
            bench,
            longest,
        })
    }

    /// Checks every op of `plan` as this adapter would run it.
    ///
    /// # Errors
    /// A loop is too long and cannot be split, memory ran out, or the device was lost.
    pub async fn check(&mut self, plan: Plan) -> Result<Vec<OutputReport>> {
        let adapter = self.adapter;
        let plan = plan.with_loops_up_to(self.longest, |op| adapter.runs(op));
        required_limits(adapter, &plan)?;
        check_loops(adapter, &plan)?;
        let mut reports = Vec::new();
        for node in plan
            .nodes()
            .iter()
            .filter(|node| adapter.runs(node.op.as_ref()))
        {
            let verdict = spot::check(&mut self.bench, node.op.as_ref()).await?;
            let outputs = node.outputs.iter().zip(verdict.outputs);
            reports.extend(outputs.map(|(&output, (error_ratio, at))| OutputReport {
                op: node.op.name(),
                tensor: plan.tensor(output).name.clone(),
                shape: format!("{:?}", node.op),
                ulp: f64::NAN,
                error_ratio,
                at: (at.index, at.got, at.expected),
            }));
        }
        Ok(reports)
    }
}

fn ops(longest: u64) -> Result<Vec<Box<dyn Op>>> {
    let mut ops = products(longest);
    ops.extend(windows()?);
    ops.extend(losses());
    ops.extend(batch_norms());
    ops.extend(group_norms());
    ops.extend(softmaxes());
    ops.extend(resizes());
    ops.extend(avg_pools());
    ops.extend(arrays());
    Ok(ops)
}

/// The readable product beyond any loop limit, and each kernel of the fused one with loops up to
/// the limit.
fn products(longest: u64) -> Vec<Box<dyn Op>> {
    let mut ops: Vec<Box<dyn Op>> = vec![Box::new(Gemm::new(
        2,
        [5, 3, K + 3],
        Operand::PLAIN,
        Operand::TRANSPOSED,
    ))];
    for epilogue in [Epilogue::ReluGradient, Epilogue::RowSums] {
        // Tall tiles have 64 rows: with a shorter K, since an adapter may bind at most 128 MiB.
        let of = |m: usize, k: usize| {
            let product = Product::new([m, 4, k], [epilogue == Epilogue::RowSums, true], epilogue);
            product.variants()
        };
        for kernel in of(64, 4) {
            let m = if of(8, 4).iter().any(|other| other.name == kernel.name) {
                8
            } else {
                64
            };
            let mut ks = [K, K / 2, K / 4, K / 8, K / 16, K / 32].into_iter();
            let mut of_k = ks.by_ref().filter(|k| m * k < 1 << 24).filter_map(|k| {
                let mut variants = of(m, k / 4 * 4).into_iter();
                variants.find(|variant| variant.name == kernel.name)
            });
            let fits = |op: &dyn Op| op.launch().longest_loop <= longest;
            let longest = of_k.find(|variant| fits(variant.op.as_ref()));
            let usual =
                longest.filter(|variant| variant.op.launch().workgroup_size == WORKGROUP_SIZE);
            ops.extend(usual.map(|variant| variant.op));
        }
    }
    ops
}

fn windows() -> Result<Vec<Box<dyn Op>>> {
    let sizes =
        |batch: usize, [in_channels, out_channels]: [usize; 2], plane: usize, kernel: usize| {
            let window = Window {
                padding: (kernel / 2).into(),
                ..Window::new(kernel)
            };
            let planes = batch * in_channels;
            let geometry = WindowedPlanes::new(planes, plane.into(), window, "sizes")?;
            Ok::<_, Error>(ConvSizes {
                batch,
                in_channels,
                out_channels,
                geometry,
            })
        };
    let mut ops: Vec<Box<dyn Op>> = Vec::new();
    // A plane past 2¹⁸ pixels, a batch past 2,048, a filter past 65,535 weights.
    for sizes in [
        sizes(2, [2, 3], 521, 3)?,
        sizes(ROWS, [3, 5], 10, 4)?,
        sizes(1, [7500, 2], 5, 3)?,
    ] {
        let positions = sizes.batch * sizes.geometry.output_area();
        let parts = positions.div_ceil(20_000);
        ops.push(Box::new(ConvForward {
            sizes,
            bias: true,
            relu: true,
        }));
        ops.push(Box::new(ConvBackwardInput { sizes }));
        ops.push(Box::new(ConvBackwardWeight { sizes, parts }));
        for gathered in [None, Some(sizes.batch + 3)] {
            ops.push(Box::new(ConvPoolForward { sizes, gathered }));
            ops.push(Box::new(ConvPoolBackwardWeight {
                sizes,
                gathered,
                accumulate: false,
            }));
        }
        let geometry = sizes.geometry;
        ops.push(Box::new(Im2col {
            geometry,
            fours: false,
        }));
        ops.push(Box::new(Col2im { geometry }));
        ops.push(Box::new(MaxPoolForward {
            geometry,
            relu: true,
        }));
        ops.push(Box::new(MaxPoolBackward {
            geometry,
            disjoint: false,
        }));
        ops.push(Box::new(MaxPoolBackwardAll { geometry }));
    }
    Ok(ops)
}

fn losses() -> Vec<Box<dyn Op>> {
    let (rows, classes) = (ROWS, CLASSES);
    let mse = Mse {
        rows,
        classes,
        scale: 2.0,
    };
    let cross_entropy = CrossEntropy { rows, classes };
    let metrics = Metrics {
        rows,
        classes,
        slots: 256,
    };
    let mut ops: Vec<Box<dyn Op>> = vec![
        Box::new(mse.clone()),
        Box::new(cross_entropy.clone()),
        Box::new(metrics.clone()),
        Box::new(Gather {
            rows,
            sample_len: 28 * 28,
            samples: rows + 5,
        }),
    ];
    for loss in [RowLoss::Mse(mse), RowLoss::CrossEntropy(cross_entropy)] {
        for gathered in [None, Some(rows + 5)] {
            ops.push(Box::new(FusedLoss {
                loss: loss.clone(),
                metrics: metrics.clone(),
                gathered,
            }));
        }
    }
    ops
}

/// Many small planes, and planes past 2¹⁸ pixels, made larger and smaller.
fn resizes() -> Vec<Box<dyn Op>> {
    let mut ops: Vec<Box<dyn Op>> = Vec::new();
    for interpolation in [Interpolation::Nearest, Interpolation::Bilinear] {
        for (planes, input, output) in [
            (ROWS, (5, 7), (10, 21)),
            (2, (521, 517), (1042, 600)),
            (3, (700, 601), (3, 400)),
        ] {
            let resize = Resize {
                planes,
                input: input.into(),
                output: output.into(),
                interpolation,
            };
            ops.push(Box::new(UpsampleForward { resize }));
            ops.push(Box::new(UpsampleBackward { resize }));
        }
    }
    ops
}

/// Means of whole planes, of large and of overlapping bins, and of windows.
fn avg_pools() -> Vec<Box<dyn Op>> {
    let plane = |planes, input: (usize, usize), output: (usize, usize), bins| Pool {
        planes,
        input: input.into(),
        output: output.into(),
        bins,
    };
    let windows = |count_padding| Bins::Windows {
        kernel: 5.into(),
        stride: (2, 3).into(),
        padding: (2, 1).into(),
        count_padding,
    };
    let pools = [
        Pool::global(3, 515 * 510),
        plane(ROWS, (13, 17), (5, 7), Bins::Adaptive),
        plane(3, (1033, 701), (9, 500), Bins::Adaptive),
        plane(2, (521, 517), (261, 172), windows(true)),
        plane(ROWS, (9, 10), (5, 3), windows(false)),
    ];
    let ops = pools.into_iter().flat_map(|pool| -> [Box<dyn Op>; 2] {
        [
            Box::new(AvgPoolForward { pool }),
            Box::new(AvgPoolBackward { pool }),
        ]
    });
    ops.collect()
}

/// A large batch of small planes, and planes past 2¹⁸ pixels.
fn batch_norms() -> Vec<Box<dyn Op>> {
    let mut ops: Vec<Box<dyn Op>> = Vec::new();
    for (rows, channels, area, relu) in [(ROWS, 5, 100, true), (3, 2, (1 << 18) + 5, false)] {
        ops.push(Box::new(BatchNormMoments {
            rows,
            channels,
            area,
        }));
        ops.push(Box::new(BatchNormStatistics {
            rows,
            channels,
            area,
            eps: 0.125,
            momentum: 0.25,
        }));
        ops.push(Box::new(BatchNormForward {
            rows,
            channels,
            area,
            relu,
        }));
        ops.push(Box::new(BatchNormInfer {
            rows,
            channels,
            area,
            eps: 0.125,
            relu,
        }));
        ops.push(Box::new(BatchNormBackwardSums {
            rows,
            channels,
            area,
            relu,
        }));
        ops.push(Box::new(BatchNormBackwardReduce {
            rows,
            channels,
            area,
            accumulate: relu,
        }));
        ops.push(Box::new(BatchNormBackwardInput {
            rows,
            channels,
            area,
            relu,
        }));
    }
    ops
}

/// A large batch of small groups, runs past 2¹⁸ elements in few channels, and in many.
fn group_norms() -> Vec<Box<dyn Op>> {
    let mut ops: Vec<Box<dyn Op>> = Vec::new();
    let plane = (1 << 18) + 5;
    for (runs, len, area, weights) in [
        (3 * ROWS, 202, 101, Some(6)),
        (4, 2 * plane, plane, Some(4)),
        (5, plane, 1, Some(plane)),
        (5, plane, plane, None),
    ] {
        let runs = Runs {
            runs,
            len,
            area,
            weights,
        };
        ops.push(Box::new(GroupNormStatistics { runs, eps: 0.125 }));
        ops.push(Box::new(GroupNormForward { runs }));
        ops.push(Box::new(GroupNormBackwardSums { runs }));
        ops.push(Box::new(GroupNormBackwardRuns { runs }));
        ops.push(Box::new(GroupNormBackwardInput { runs }));
    }
    ops
}

/// Many rows, many places, and many channels.
fn softmaxes() -> Vec<Box<dyn Op>> {
    let mut ops: Vec<Box<dyn Op>> = Vec::new();
    for (rows, channels, area) in [(ROWS, CLASSES, 1), (2, 3, 521 * 517), (5, 2003, 7)] {
        let sizes = Channels {
            rows,
            channels,
            area,
        };
        ops.push(Box::new(SoftmaxForward { sizes }));
        ops.push(Box::new(SoftmaxBackward { sizes }));
    }
    ops
}

fn arrays() -> Vec<Box<dyn Op>> {
    let (len, weight_decay) = (LEN, 0.25);
    vec![
        Box::new(BiasForward {
            batch: ROWS,
            channels: 3,
            area: 600,
        }),
        Box::new(BiasBackward {
            rows: 3,
            area: (1 << 18) + 5,
        }),
        Box::new(Multiply {
            planes: ROWS,
            area: 2003,
        }),
        Box::new(Multiply::elementwise(len)),
        Box::new(CopySlice::into_rows(ROWS, 2003, 2100, 50)),
        Box::new(CopySlice::into_rows(3, LEN / 4, LEN / 3, 7).reversed()),
        Box::new(ReduceSum::new(K, 3)),
        Box::new(ReduceSum::new(3, LEN)),
        Box::new(Add { len, relu: false }),
        Box::new(Add {
            len: len + 1,
            relu: true,
        }),
        Box::new(Dropout {
            rows: ROWS,
            len: 2003,
            probability: 0.25,
            area: 1,
            stream: 1,
        }),
        Box::new(Dropout {
            rows: ROWS,
            len: 2003,
            probability: 0.25,
            area: 2003,
            stream: 1,
        }),
        Box::new(ActivationForward {
            function: Activation::Gelu,
            len,
        }),
        Box::new(ActivationBackward {
            function: Activation::GeluTanh,
            len,
        }),
        Box::new(ReluForward { len }),
        Box::new(ReluBackward { len }),
        Box::new(Adam {
            len,
            beta1: 0.75,
            beta2: 0.875,
            eps: 1e-8,
            weight_decay,
            decoupled: true,
        }),
        Box::new(Sgd { len, weight_decay }),
        Box::new(SgdMomentum {
            len,
            weight_decay,
            momentum: 0.5,
            nesterov: true,
        }),
        Box::new(Zero { len }),
    ]
}
