//! Which of an op's kernels are worth measuring on an adapter.

use std::any::Any;

use wgpu::DeviceType;

use super::Effort;
use crate::gpu::Adapter;
use crate::ops::{
    ConvBackwardInput, ConvBackwardWeight, ConvForward, ConvPoolBackwardWeight, ConvPoolForward,
    ConvSizes, LinearBackward, Op, Product, Variant,
};

/// Ops from this many FLOP on are large.
const LARGE: u64 = 1 << 24;

/// Tiles of 64×64 from which a product keeps a GPU busy. With fewer, its terms must be shared out.
const MANY_TILES: usize = 32;

/// Names of kernels, in families: of the first that has any for an op, the first few are measured,
/// and the very first is the default.
type Families = &'static [&'static [&'static str]];

/// Maximum kernels measured per op, unless all are: on a software adapter, and on a GPU.
const MOST: [usize; 2] = [3, 4];

/// On software adapters barriers and loads are expensive; low occupancy is free. Without
/// broadcasting A's rows within subgroups, kernels take two to five times as long.
const SOFTWARE: Families = &[
    &["gemm_broadcast_tall/16", "gemm_broadcast/16"],
    &[
        "gemm_broadcast_any/16",
        "gemm_8x8/16",
        "gemm_8x8/64",
        "gemm_4x4/16",
        "gemm_4x4/64",
    ],
    &[
        "conv_forward/64",
        "conv_backward_input/64",
        "conv_backward_weight/64",
    ],
    &["conv_pool_backward_weight/64"],
];

const SMALL: Families = &[&["gemm_subgroup/64", "gemm_lanes/64", "gemm_workgroup/64"]];

/// Many terms, but few tiles: each sum is shared out among the lanes of a workgroup.
const LONG: Families = &[&[
    "gemm_subgroup/64",
    "gemm_lanes/64",
    "gemm_tile_64x64/64",
    "gemm_workgroup/64",
]];

/// Large tiles need many registers and much workgroup memory, which integrated GPUs lack.
const LARGE_ON_INTEGRATED: Families = &[&[
    "gemm_tile_64x64/64",
    "gemm_workgroup/64",
    "gemm_tile_128x64/128",
    "gemm_lanes/64",
]];

const LARGE_ON_DISCRETE: Families = &[&[
    "gemm_tile_64x64/64",
    "gemm_tile_128x64/128",
    "gemm_tile_128x128/256",
    "gemm_workgroup/64",
    "gemm_lanes/64",
]];

/// Convolutions in low tiles, for up to 32 channels.
const FEW_CHANNELS: Families = &[&[
    "conv_tile_32x128/64",
    "conv_tile_64x64/64",
    "conv_tile_16x256/64",
]];

const MANY_CHANNELS: Families = &[&[
    "conv_tile_64x64/64",
    "conv_tile_64x128/128",
    "conv_tile_32x128/64",
]];

const POOLED_WEIGHTS: Families = &[&[
    "conv_pool_backward_weight/256",
    "conv_pool_backward_weight/64",
]];

/// The channels that are the rows of a convolution's tiles.
fn channels(op: &dyn Any) -> Option<usize> {
    let forward = op
        .downcast_ref()
        .map(|op: &ConvForward| op.sizes.out_channels);
    let input = op
        .downcast_ref()
        .map(|op: &ConvBackwardInput| op.sizes.in_channels);
    let weight = op
        .downcast_ref()
        .map(|op: &ConvBackwardWeight| op.sizes.out_channels);
    forward.or(input).or(weight)
}

/// The kernels that suit an op on a kind of adapter.
fn suited(op: &dyn Op, kind: DeviceType) -> Families {
    if kind == DeviceType::Cpu {
        return SOFTWARE;
    }
    match channels(op) {
        Some(..=32) => return FEW_CHANNELS,
        Some(_) => return MANY_CHANNELS,
        None => {}
    }
    if (op as &dyn Any).is::<ConvPoolBackwardWeight>() {
        return POOLED_WEIGHTS;
    }
    let product = (op as &dyn Any).downcast_ref();
    let tiles = product.map_or(MANY_TILES, |product: &Product| {
        product.batch * product.m.div_ceil(64) * product.n.div_ceil(64)
    });
    match kind {
        _ if op.cost().flop < LARGE => SMALL,
        _ if tiles < MANY_TILES => LONG,
        DeviceType::IntegratedGpu => LARGE_ON_INTEGRATED,
        _ => LARGE_ON_DISCRETE,
    }
}

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
    let linear: Option<&LinearBackward> = op.downcast_ref();
    let is_too_large = linear.is_some_and(|op| adapter.is_software() || op.cost().flop >= LARGE);
    effort == Effort::Full || !(is_slow || is_too_large)
}

/// The kernels to choose from, the default for this kind of adapter first. Only with full effort
/// those that do not suit it: one of them can take a hundred times as long, and the whole budget.
pub(super) fn candidates(op: &dyn Op, adapter: &Adapter, effort: Effort) -> Vec<Variant> {
    let families = suited(op, adapter.info().device_type);
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
        let [on_software, on_gpu] = MOST;
        candidates.truncate(if adapter.is_software() {
            on_software
        } else {
            on_gpu
        });
    }
    candidates
}
