//! Which of an op's kernels are worth measuring on an adapter.

use std::any::Any;

use super::Effort;
use crate::gpu::Adapter;
use crate::ops::{ConvForward, ConvPoolForward, ConvSizes, Op, Variant};

/// Maximum kernels measured per op, unless all are.
const MOST: usize = 3;

/// Ops from this many FLOP on are large.
const LARGE: u64 = 1 << 24;

/// On software adapters barriers and loads are expensive; low occupancy is free. Without
/// broadcasting A's rows within subgroups, kernels take two to five times as long.
const SOFTWARE: &[&[&str]] = &[
    &["gemm_broadcast_tall/16", "gemm_broadcast/16"],
    &["gemm_8x8/16", "gemm_8x8/64", "gemm_4x4/16", "gemm_4x4/64"],
];

const SMALL_ON_GPU: &[&[&str]] = &[&[
    "gemm_subgroup/64",
    "gemm_lanes/64",
    "gemm_4x4/64",
    "gemm_workgroup/64",
]];

const LARGE_ON_GPU: &[&[&str]] = &[&[
    "gemm_workgroup/64",
    "gemm_broadcast/64",
    "gemm_8x8/64",
    "gemm_4x4/64",
]];

/// The fan-in above which im2col beats the implicit convolution on software adapters: at
/// 288 the implicit one took two to eight times as long.
const MANY_WEIGHTS: usize = 128;

/// Whether an op is worth measuring at all.
pub(super) fn is_worthwhile(op: &dyn Op, adapter: &Adapter, effort: Effort) -> bool {
    let op: &dyn Any = op;
    let forward = op.downcast_ref().map(|op: &ConvForward| &op.sizes);
    let pooled = op.downcast_ref().map(|op: &ConvPoolForward| &op.sizes);
    let reads_many = |sizes: &ConvSizes| sizes.fan_in() >= MANY_WEIGHTS;
    let is_slow = adapter.is_software() && forward.or(pooled).is_some_and(reads_many);
    effort == Effort::Full || !is_slow
}

/// The kernels to choose from, the default for this kind of adapter first. Only with full effort
/// those that do not suit it: one of them can take a hundred times as long, and the whole budget.
pub(super) fn candidates(op: &dyn Op, adapter: &Adapter, effort: Effort) -> Vec<Variant> {
    let families: &[&[&str]] = match adapter.is_software() {
        true => SOFTWARE,
        false if op.cost().flop < LARGE => SMALL_ON_GPU,
        false => LARGE_ON_GPU,
    };
    let rank = |variant: &Variant| {
        let mut names = families.iter().copied().flatten();
        let rank = names.position(|name| *name == variant.name);
        rank.unwrap_or(usize::MAX)
    };
    let mut candidates = op.variants();
    candidates.retain(|variant| adapter.runs(variant.op.as_ref()));
    candidates.sort_by_key(rank);
    if effort != Effort::Full {
        let is_there = |names: &&&[&str]| {
            candidates
                .iter()
                .any(|variant| names.contains(&&*variant.name))
        };
        let family = families.iter().find(is_there).copied().unwrap_or_default();
        candidates.retain(|variant| family.contains(&&*variant.name));
        candidates.truncate(MOST);
    }
    candidates
}
