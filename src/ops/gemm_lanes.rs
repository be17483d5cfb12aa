//! A product; each workgroup computes a 4×4 tile, each lane a part of K.

use super::Shader;
use super::case::{Case, Random};
use super::product::cases_of;
use super::product::kernel::{GemmKernel, TILE_PRELUDES, Worker};

pub(super) const SHADER: Shader =
    Shader::new(TILE_PRELUDES, include_str!("../../shaders/gemm_lanes.wgsl"));

pub(super) const KERNEL: GemmKernel = GemmKernel {
    entry_points: ["gemm_lanes", "gemm_lanes_sums"],
    shader: SHADER,
    tile: [4, 4],
    worker: Worker::Workgroup,
    multiple_of: 1,
    least_rows: 1,
    longest_loop: |k, workgroup, sums| {
        k.div_ceil(workgroup) + 1 + u64::from(workgroup.ilog2() + 1) * (1 + sums)
    },
    subgroups: false,
};

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    cases_of(&KERNEL, random)
}
