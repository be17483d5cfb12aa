//! Every op at sizes where drivers cut loops short and counters overflow: single elements against
//! the reference.

use std::any::Any;

use super::{OutputReport, lanes, losses, norms, planes};
use crate::cache::Cache;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::gpu::{Adapter, Workbench, check_loops, required_limits};
use crate::ops::{
    Activation, ActivationBackward, ActivationForward, Adam, Add, AverageParameters, BiasBackward,
    BiasForward, ClipNorm, ClipValue, CopySlice, Dropout, Epilogue, Gemm, Lion, Multiply, Op,
    Operand, Product, ReduceSum, ReluBackward, ReluForward, RmsProp, Sgd, SgdMomentum, SumSquares,
    WORKGROUP_SIZE, Zero,
};
use crate::plan::{Builder, Phase, Plan};
use crate::spot;

/// K of the large products: a multiple of four, for vectorised kernels.
const K: usize = (1 << 20) + 8;

/// Multiply-adds of a large product, most of which are beyond its edges in the largest tiles: more
/// take half a minute on a software adapter.
const MOST_MULTIPLY_ADDS: usize = 1 << 30;

/// Elements of the large arrays.
const LEN: usize = (1 << 22) + 4;

/// Rows of the large batches, and classes.
pub(super) const ROWS: usize = 2100;
pub(super) const CLASSES: usize = 37;

/// Checks every op at large sizes, with every kernel that the adapter can run: K past 2²⁰, or up to
/// the loop limit or what a large tile takes, planes past 2¹⁸ pixels, batches past 2,048.
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
        let mut cache = Cache::load(&adapter.cache_key());
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
    ops.extend(losses::large());
    ops.extend(planes::large()?);
    ops.extend(norms::large());
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
            let fits = |op: &dyn Op| {
                let product: Option<&Product> = (op as &dyn Any).downcast_ref();
                let multiply_adds = product.map_or(0, Product::multiply_adds);
                op.launch().longest_loop <= longest && multiply_adds <= MOST_MULTIPLY_ADDS
            };
            let longest = of_k.find(|variant| fits(variant.op.as_ref()));
            let usual =
                longest.filter(|variant| variant.op.launch().workgroup_size >= WORKGROUP_SIZE);
            ops.extend(usual.map(|variant| variant.op));
        }
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
            selective: false,
        }),
        Box::new(Sgd {
            len,
            weight_decay,
            selective: false,
        }),
        Box::new(SgdMomentum {
            len,
            weight_decay,
            momentum: 0.5,
            nesterov: true,
            selective: true,
        }),
        Box::new(RmsProp {
            len,
            alpha: 0.75,
            eps: 1e-8,
            weight_decay,
            momentum: 0.5,
            centered: true,
        }),
        Box::new(Lion {
            len,
            beta1: 0.75,
            beta2: 0.875,
            weight_decay,
        }),
        Box::new(AverageParameters { len, decay: 0.875 }),
        Box::new(SumSquares::new(len)),
        Box::new(ClipNorm { len, limit: 0.5 }),
        Box::new(ClipValue { len, limit: 0.5 }),
        Box::new(Zero { len }),
    ]
}
