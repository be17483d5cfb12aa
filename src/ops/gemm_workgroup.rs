//! A product; each workgroup computes a 32×32 tile, with slices staged in workgroup memory.

use super::case::{Case, Random};
use super::product::cases_of;
use super::product::kernel::{GemmKernel, TILE_PRELUDES, Worker};
use super::{Shader, WORKGROUP_SIZE};

pub(super) const SHADER: Shader = Shader::new(
    TILE_PRELUDES,
    include_str!("../../shaders/gemm_workgroup.wgsl"),
);

/// Rows and columns of a tile, and columns of A staged at once; the same as in the shader.
const TILE: u64 = 32;
const SLICE: u64 = 16;

pub(super) const KERNEL: GemmKernel = GemmKernel {
    name: "gemm_workgroup",
    entry_points: ["gemm_workgroup", "gemm_workgroup_sums"],
    shader: SHADER,
    constants: &[],
    tile: [32, 32],
    worker: Worker::Workgroup,
    multiple_of: 1,
    least_rows: 1,
    longest_loop: |k, workgroup, sums| {
        k.div_ceil(SLICE) * (2 + TILE * SLICE / workgroup + (SLICE + 1) * (1 + sums)) + 1
    },
    workgroups: &[WORKGROUP_SIZE],
    workgroup_bytes: 2 * TILE * SLICE * 4,
    subgroups: false,
};

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    cases_of(&KERNEL, random)
}
