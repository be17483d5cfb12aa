//! A product; each workgroup computes a 4×4 tile, each lane a part of K.

use super::case::{Case, Random};
use super::product::cases_of;
use super::product::kernel::{GemmKernel, Worker};
use super::{Prelude, Shader, WORKGROUP_SIZE};

pub(super) const SHADER: Shader = Shader::new(
    &[
        Prelude::Invocation,
        Prelude::Relu,
        Prelude::Outer,
        Prelude::Product,
        Prelude::ProductTile,
        Prelude::TileLanes,
    ],
    include_str!("../../shaders/gemm_lanes.wgsl"),
);

pub(super) const KERNEL: GemmKernel = GemmKernel {
    name: "gemm_lanes",
    entry_points: ["gemm_lanes", "gemm_lanes_sums"],
    shader: SHADER,
    constants: &[],
    tile: [4, 4],
    worker: Worker::Workgroup,
    multiple_of: 1,
    least_rows: 1,
    longest_loop: |k, workgroup, sums| {
        k.div_ceil(workgroup) + 1 + u64::from(workgroup.ilog2() + 1) * (1 + sums)
    },
    workgroups: &[WORKGROUP_SIZE],
    workgroup_bytes: 64 * 64,
    subgroups: false,
};

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    cases_of(&KERNEL, random)
}
