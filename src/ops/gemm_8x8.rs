//! A product; each invocation computes an 8×8 tile in registers, with four floats per load.

use super::case::{Case, Random};
use super::product::cases_of;
use super::product::kernel::{GemmKernel, Worker};
use super::{Prelude, Shader};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation, Prelude::Relu, Prelude::Product],
    include_str!("../../shaders/gemm_8x8.wgsl"),
);

pub(super) const KERNEL: GemmKernel = GemmKernel {
    entry_points: ["gemm_8x8", "gemm_8x8_sums"],
    shader: SHADER,
    tile: [8, 8],
    worker: Worker::Invocation,
    multiple_of: 4,
    least_rows: 1,
    longest_loop: |k, _, sums| (k / 4 + 1) * (1 + 2 * sums),
    subgroups: false,
};

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    cases_of(&KERNEL, random)
}
