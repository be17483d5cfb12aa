//! Like `gemm_lanes`, with the lanes' parts added by subgroups.

use super::case::{Case, Random};
use super::product::cases_of;
use super::product::kernel::{GemmKernel, TILE_PRELUDES, Worker};
use super::{Shader, WORKGROUP_SIZE};

pub(super) const SHADER: Shader = Shader::new(
    TILE_PRELUDES,
    include_str!("../../shaders/gemm_subgroup.wgsl"),
);

pub(super) const KERNEL: GemmKernel = GemmKernel {
    name: "gemm_subgroup",
    entry_points: ["gemm_subgroup", "gemm_subgroup_sums"],
    shader: SHADER,
    constants: &[],
    tile: [4, 4],
    worker: Worker::Workgroup,
    multiple_of: 1,
    least_rows: 1,
    longest_loop: |k, workgroup, sums| k.div_ceil(workgroup) + 1 + (workgroup + 1) * (1 + sums),
    workgroups: &[WORKGROUP_SIZE],
    workgroup_bytes: 64 * 64,
    subgroups: true,
};

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    cases_of(&KERNEL, random)
}
