//! A product of any size; each invocation computes a 4×4 tile in registers.

use super::Shader;
use super::case::{Case, Random};
use super::product::cases_of;
use super::product::kernel::{GemmKernel, TILE_PRELUDES, Worker};

pub(super) const SHADER: Shader =
    Shader::new(TILE_PRELUDES, include_str!("../../shaders/gemm_4x4.wgsl"));

pub(super) const KERNEL: GemmKernel = GemmKernel {
    entry_points: ["gemm_4x4", "gemm_4x4_sums"],
    shader: SHADER,
    tile: [4, 4],
    worker: Worker::Invocation,
    multiple_of: 1,
    least_rows: 1,
    longest_loop: |k, _, sums| (k + 1) * (1 + sums),
    subgroups: false,
};

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    cases_of(&KERNEL, random)
}
