//! A product whose invocations each compute a tile of 32×4 in registers, side by side, so that the lanes of a
//! subgroup load each row of A once and pass it around.

use super::case::{Case, Random};
use super::product::{Kernel, Worker, cases_of};

pub(super) const KERNEL: Kernel = Kernel {
    entry_points: ["gemm_broadcast", "gemm_broadcast_sums"],
    shader: include_str!("../../shaders/gemm_broadcast.wgsl"),
    tile: [32, 4],
    worker: Worker::LaneOfRow,
    multiple_of: 4,
    subgroups: true,
};

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    cases_of(&KERNEL, random)
}
