//! A product of any size; each invocation computes a 4×4 tile in registers.

use super::Shader;
use super::case::{Case, Random};
use super::product::cases_of;
use super::product::kernel::{ANY_WORKGROUP, GemmKernel, TILE_PRELUDES, Worker};

pub(super) const SHADER: Shader =
    Shader::new(TILE_PRELUDES, include_str!("../../shaders/gemm_4x4.wgsl"));

pub(super) const KERNEL: GemmKernel = GemmKernel {
    name: "gemm_4x4",
    entry_points: ["gemm_4x4", "gemm_4x4_sums"],
    shader: SHADER,
    constants: &[],
    tile: [4, 4],
    worker: Worker::Invocation,
    multiple_of: 1,
    least_rows: 1,
    longest_loop: |k, _, sums| (k + 1) * (1 + sums),
    workgroups: ANY_WORKGROUP,
    workgroup_bytes: 0,
    subgroups: false,
};

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    cases_of(&KERNEL, random)
}
