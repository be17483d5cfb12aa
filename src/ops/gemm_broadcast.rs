//! A product; each invocation computes a 32×4 or 64×4 tile in registers. The tiles of a subgroup
//! are side by side, so that its lanes load each row of A once and broadcast it.

use super::case::{Case, Random};
use super::product::cases_of;
use super::product::kernel::{ANY_WORKGROUP, GemmKernel, Worker};
use super::{Prelude, Shader};

pub(super) const SHADER: Shader = Shader::new(
    &[
        Prelude::Invocation,
        Prelude::Loads,
        Prelude::Relu,
        Prelude::Product,
        Prelude::FactorsFours,
    ],
    include_str!("../../shaders/gemm_broadcast.wgsl"),
);

pub(super) const KERNEL: GemmKernel = GemmKernel {
    name: "gemm_broadcast",
    entry_points: ["gemm_broadcast", "gemm_broadcast_sums"],
    shader: SHADER,
    constants: &[],
    tile: [32, 4],
    worker: Worker::LaneOfRow,
    multiple_of: 4,
    least_rows: 1,
    longest_loop: |k, _, _| k / 4 + 1,
    workgroups: ANY_WORKGROUP,
    workgroup_bytes: 0,
    subgroups: true,
};

/// Loads B half as often, but takes twice as long to compile.
pub(super) const TALL: GemmKernel = GemmKernel {
    name: "gemm_broadcast_tall",
    entry_points: ["gemm_broadcast_tall", "gemm_broadcast_tall_sums"],
    tile: [64, 4],
    least_rows: 64,
    ..KERNEL
};

/// For sizes that are no multiples of four, with scalar loads.
pub(super) const ANY: GemmKernel = GemmKernel {
    name: "gemm_broadcast_any",
    shader: Shader::new(
        &[
            Prelude::Invocation,
            Prelude::Relu,
            Prelude::Product,
            Prelude::FactorsOnes,
        ],
        include_str!("../../shaders/gemm_broadcast.wgsl"),
    ),
    multiple_of: 1,
    longest_loop: |k, _, _| k.div_ceil(4) + 1,
    ..KERNEL
};

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let mut cases = cases_of(&KERNEL, random);
    cases.extend(cases_of(&TALL, random));
    cases.extend(cases_of(&ANY, &mut random.aside()));
    cases
}
