//! Convolution and its gradients for GPUs: implicit GEMM in the tiles of a workgroup. The ops are
//! those of [`conv`](super::conv) and [`conv_weight`](super::conv_weight), with other kernels.

use std::fmt;

use super::case::{Case, Random};
use super::{
    ConvBackwardInput, ConvBackwardWeight, ConvForward, ConvSizes, Launch, Op, Prelude, Shader,
    Variant, nested_loops,
};
use crate::shape::Size2d;

pub(super) const SHADER: Shader = Shader::new(
    &[
        Prelude::Invocation,
        Prelude::Window,
        Prelude::Convolution,
        Prelude::Relu,
        Prelude::Tile,
    ],
    include_str!("../../shaders/conv_tile.wgsl"),
);

pub(super) const FORWARD: &str = "conv_tile_forward";
pub(super) const BACKWARD_INPUT: &str = "conv_tile_backward_input";
pub(super) const BACKWARD_WEIGHT: &str = "conv_tile_backward_weight";

/// Terms staged at once.
const SLICE: usize = 8;

/// The extents of a workgroup's tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvTile {
    /// Rows: channels.
    m: usize,
    /// Columns: pixels, or weights of a channel.
    n: usize,
}

/// Low tiles for few channels.
const TILES: [ConvTile; 4] = [
    ConvTile { m: 16, n: 256 },
    ConvTile { m: 32, n: 128 },
    ConvTile { m: 64, n: 64 },
    ConvTile { m: 64, n: 128 },
];

impl fmt::Display for ConvTile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conv_tile_{}x{}/{}", self.m, self.n, self.lanes())
    }
}

impl ConvTile {
    /// Invocations of a workgroup, each of which computes 8×8.
    fn lanes(self) -> usize {
        self.m / 8 * (self.n / 8)
    }

    /// Rows and columns.
    pub(super) fn extents(self) -> [usize; 2] {
        [self.m, self.n]
    }

    /// `products` products of `rows`×`columns`, each of `terms` terms. An invocation loops for
    /// `more` iterations besides.
    pub(super) fn launch(
        self,
        products: usize,
        [rows, columns]: [usize; 2],
        terms: usize,
        more: u64,
    ) -> Launch {
        let lanes = self.lanes();
        let tiles = products * rows.div_ceil(self.m) * columns.div_ceil(self.n);
        let a_loads = nested_loops(&[self.m * SLICE / lanes]);
        let b_loads = nested_loops(&[self.n / lanes, SLICE]);
        // The products of a slice, and its terms of the bias.
        let sums = nested_loops(&[SLICE / 4]) + nested_loops(&[SLICE]);
        let slices = terms.div_ceil(SLICE) as u64;
        Launch::new(SHADER, tiles * lanes)
            .constants([
                ("TILE_M", self.m as f64),
                ("TILE_N", self.n as f64),
                ("SLICE", SLICE as f64),
                ("BUFFERS", 1.0),
            ])
            .longest_loop(slices * (1 + a_loads + b_loads + sums) + 1 + more)
            .workgroup_size(lanes as u64)
            // A row has a padding of four.
            .workgroup_bytes((SLICE * (self.m + 4 + self.n + 4) * 4) as u64)
    }
}

/// Iterations of the loops that store four 4×4 blocks.
pub(super) const STORES: u64 = 4 * 17;

/// An op by the kernel of its own invocations, named `default`, and in tiles.
pub(super) fn variants(
    default: &str,
    op: impl Fn(Option<ConvTile>) -> Box<dyn Op>,
) -> Vec<Variant> {
    let default = Variant {
        name: format!("{default}/64"),
        op: op(None),
    };
    let tiles = TILES.into_iter().map(|tile| Variant {
        name: tile.to_string(),
        op: op(Some(tile)),
    });
    std::iter::once(default).chain(tiles).collect()
}

/// The text under which files keep the kernel that was chosen for `what` of a convolution: it must
/// never change.
pub(super) fn choice(what: &str, sizes: &ConvSizes, more: &str) -> String {
    let g = &sizes.geometry;
    let of = |Size2d { height, width }: Size2d| format!("{height}×{width}");
    let (window, padding) = (g.window, g.window.padding);
    format!(
        "{what} of {}×{}×{} by {}×{}, stride {}, padding {}:{} {}:{}, dilation {}{more}",
        sizes.batch,
        sizes.in_channels,
        of(g.input),
        sizes.out_channels,
        of(window.kernel),
        of(window.stride),
        padding.top,
        padding.bottom,
        padding.left,
        padding.right,
        of(window.dilation),
    )
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let cases = TILES.into_iter().map(|tile| {
        let tile = Some(tile);
        let sizes = ConvSizes {
            // More than the rows of the low tiles.
            out_channels: random.size(40),
            ..ConvSizes::random(random)
        };
        let positions = sizes.batch * sizes.geometry.output_area();
        let parts = random.size(positions.min(9));
        let forward = |bias, relu| ConvForward {
            sizes,
            bias,
            relu,
            tile,
        };
        [
            Case::of_floats(forward(true, random.flag()), random),
            Case::of_floats(forward(false, false), random),
            Case::of_floats(ConvBackwardInput { sizes, tile }, random),
            Case::of_floats(ConvBackwardWeight { sizes, parts, tile }, random),
        ]
    });
    cases.collect::<Vec<_>>().into_iter().flatten().collect()
}
