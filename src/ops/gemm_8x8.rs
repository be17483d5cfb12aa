//! A product; each invocation computes an 8×8 tile in registers, with four floats per load.

use super::case::{Case, Random};
use super::product::cases_of;
use super::product::kernel::{ANY_WORKGROUP, GemmKernel, Worker};
use super::{Prelude, Shader};

pub(super) const SHADER: Shader = Shader::new(
    &[
        Prelude::Invocation,
        Prelude::Relu,
        Prelude::Product,
        Prelude::ProductFours,
    ],
    include_str!("../../shaders/gemm_8x8.wgsl"),
);

pub(super) const KERNEL: GemmKernel = GemmKernel {
    name: "gemm_8x8",
    entry_points: ["gemm_8x8", "gemm_8x8_sums"],
    shader: SHADER,
    constants: &[],
    tile: [8, 8],
    worker: Worker::Invocation,
    multiple_of: 4,
    least_rows: 1,
    longest_loop: |k, _, sums| (k / 4 + 1) * (1 + 2 * sums),
    workgroups: ANY_WORKGROUP,
    workgroup_bytes: 0,
    subgroups: false,
};

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    cases_of(&KERNEL, random)
}
