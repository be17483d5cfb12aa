//! The kernels of a product, to choose from.

use std::fmt;

use super::{Prelude, Shader};
use super::{gemm_4x4, gemm_8x8, gemm_broadcast, gemm_lanes, gemm_subgroup, gemm_workgroup};

/// What the kernels share that compute a product of any size by tiles of 4×4.
pub(super) const TILE_PRELUDES: &[Prelude] = &[
    Prelude::Invocation,
    Prelude::Relu,
    Prelude::Outer,
    Prelude::Product,
    Prelude::ProductTile,
];

/// A way to compute a [`Product`](super::Product): a file of `shaders/`, with two entry points.
pub struct Kernel {
    /// Its entry points: the product alone, and with the sums of A's rows.
    pub(super) entry_points: [&'static str; 2],
    /// Its WGSL.
    pub(super) shader: Shader,
    /// Rows and columns of the product that one worker computes.
    pub(super) tile: [usize; 2],
    /// Who works on a tile.
    pub(super) worker: Worker,
    /// M, N and K must be multiples of this.
    pub(super) multiple_of: usize,
    /// The least M: below it most of a tile would be idle.
    pub(super) least_rows: usize,
    /// How often the loops of an invocation go round, by K and the size of the workgroup; with 1 for the
    /// last argument, those of the sums of A's rows too.
    pub(super) longest_loop: fn(u64, u64, u64) -> u64,
    /// It needs the adapter's subgroups.
    pub(super) subgroups: bool,
}

impl PartialEq for Kernel {
    fn eq(&self, other: &Self) -> bool {
        self.entry_points == other.entry_points
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.entry_points[0])
    }
}

/// Who computes a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worker {
    /// One invocation.
    Invocation,
    /// A whole workgroup.
    Workgroup,
    /// One invocation, with its workgroup's others in the same row of tiles: of its product, or with a
    /// shared A of all products.
    LaneOfRow,
}

/// Every kernel; the first fits everything.
pub(super) const KERNELS: [&Kernel; 7] = [
    &gemm_4x4::KERNEL,
    &gemm_8x8::KERNEL,
    &gemm_broadcast::KERNEL,
    &gemm_broadcast::TALL,
    &gemm_lanes::KERNEL,
    &gemm_subgroup::KERNEL,
    &gemm_workgroup::KERNEL,
];
