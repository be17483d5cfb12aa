//! The kernels of a product.

use std::fmt;

use crate::ops::{Prelude, Shader, WORKGROUP_SIZE};
use crate::ops::{
    gemm_4x4, gemm_8x8, gemm_broadcast, gemm_lanes, gemm_subgroup, gemm_tile, gemm_workgroup,
};

/// The preludes of the kernels that compute a product of any size in 4×4 tiles.
pub(in crate::ops) const TILE_PRELUDES: &[Prelude] = &[
    Prelude::Invocation,
    Prelude::Relu,
    Prelude::Outer,
    Prelude::Product,
    Prelude::ProductTile,
];

/// A way to compute a [`Product`](crate::ops::Product): a file of `shaders/`, with two entry
/// points.
pub struct GemmKernel {
    /// Its name in kernel choices.
    pub(in crate::ops) name: &'static str,
    /// Its entry points: the product alone, and with row sums of A.
    pub(in crate::ops) entry_points: [&'static str; 2],
    /// Its WGSL.
    pub(in crate::ops) shader: Shader,
    /// The values of `override` constants that no other kernel has.
    pub(in crate::ops) constants: &'static [(&'static str, f64)],
    /// Rows and columns of the product that one worker computes.
    pub(in crate::ops) tile: [usize; 2],
    /// The unit that computes a tile.
    pub(in crate::ops) worker: Worker,
    /// M, N and K must be multiples of this.
    pub(in crate::ops) multiple_of: usize,
    /// Minimum M; below it most of a tile would be idle.
    pub(in crate::ops) least_rows: usize,
    /// Loop iterations of an invocation, from K and the workgroup size; with 1 as the last
    /// argument, including those of the row sums of A.
    pub(in crate::ops) longest_loop: fn(u64, u64, u64) -> u64,
    /// The sizes of workgroup in which it runs.
    pub(in crate::ops) workgroups: &'static [u64],
    /// Bytes of workgroup memory, for the adapter's limit.
    pub(in crate::ops) workgroup_bytes: u64,
    /// Whether it needs subgroups.
    pub(in crate::ops) subgroups: bool,
}

/// The sizes of workgroup of a kernel whose invocations are independent.
pub(in crate::ops) const ANY_WORKGROUP: &[u64] = &[16, WORKGROUP_SIZE];

impl PartialEq for GemmKernel {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for GemmKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The unit that computes a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) enum Worker {
    /// One invocation.
    Invocation,
    /// A whole workgroup.
    Workgroup,
    /// One invocation per tile; a workgroup covers one row of tiles (across the whole batch if A is
    /// shared).
    LaneOfRow,
}

/// All kernels; the first fits all sizes.
pub(in crate::ops) const KERNELS: [&GemmKernel; 11] = [
    &gemm_4x4::KERNEL,
    &gemm_8x8::KERNEL,
    &gemm_broadcast::KERNEL,
    &gemm_broadcast::TALL,
    &gemm_broadcast::ANY,
    &gemm_lanes::KERNEL,
    &gemm_subgroup::KERNEL,
    &gemm_workgroup::KERNEL,
    &gemm_tile::KERNELS[0],
    &gemm_tile::KERNELS[1],
    &gemm_tile::KERNELS[2],
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Epilogue, Op, Product};

    /// Without run-time checks, more invocations would write past their arrays.
    #[test]
    fn a_kernel_runs_only_in_workgroups_that_it_is_made_for() {
        for kernel in KERNELS {
            let product = Product {
                kernel,
                workgroup: 1024,
                ..Product::new([64; 3], [false; 2], Epilogue::Plain)
            };
            let launch = product.launch();
            assert_eq!(launch.workgroup_size, kernel.workgroups[0], "{kernel:?}");
            assert!(launch.longest_loop > 0, "{kernel:?}");
        }
    }
}
