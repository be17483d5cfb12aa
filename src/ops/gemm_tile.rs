//! A product for GPUs; each workgroup computes a tile of 64×64 to 128×128, with slices staged in
//! workgroup memory, each invocation 8×8 of it in registers.

use super::case::{Case, Random};
use super::product::cases_of;
use super::product::kernel::{GemmKernel, Worker};
use super::{Prelude, Shader};

pub(super) const SHADER: Shader = Shader::new(
    &[
        Prelude::Invocation,
        Prelude::Relu,
        Prelude::Product,
        Prelude::ProductFours,
        Prelude::Tile,
    ],
    include_str!("../../shaders/gemm_tile.wgsl"),
);

/// The kernel with tiles of `$m`×`$n`, slices of `$slice` terms and that many buffers for them.
macro_rules! of_tile {
    ($m:literal, $n:literal, $slice:literal, $buffers:literal, $name:literal) => {
        GemmKernel {
            name: $name,
            entry_points: ["gemm_tile", "gemm_tile_sums"],
            shader: SHADER,
            constants: &[
                ("TILE_M", $m as f64),
                ("TILE_N", $n as f64),
                ("SLICE", $slice as f64),
                ("BUFFERS", $buffers as f64),
            ],
            tile: [$m, $n],
            worker: Worker::Workgroup,
            multiple_of: 4,
            least_rows: 1,
            longest_loop: |k, _, sums| {
                k.div_ceil($slice) * (1 + $slice / 4 + 1 + ($slice + 1) * sums) + 1
            },
            workgroups: &[$m / 8 * $n / 8],
            // A row has a padding of four.
            workgroup_bytes: $buffers * $slice * ($m + 4 + $n + 4) * 4,
            subgroups: false,
        }
    };
}

/// By measurement on an NVIDIA H200: 64×64 fits most products, 128×128 the largest; only 128×64
/// gains from a second buffer.
pub(super) const KERNELS: [GemmKernel; 3] = [
    of_tile!(64, 64, 8, 1, "gemm_tile_64x64"),
    of_tile!(128, 64, 8, 2, "gemm_tile_128x64"),
    of_tile!(128, 128, 16, 1, "gemm_tile_128x128"),
];

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let cases = KERNELS.iter().map(|kernel| cases_of(kernel, random));
    cases.flatten().collect()
}
