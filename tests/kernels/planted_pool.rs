//! Faults planted in the kernels that fuse a convolution with its pool.

use wgrad::ops::{ConvPoolBackwardWeight, ConvPoolForward, ConvSizes, Op};
use wgrad::shape::WindowedPlanes;

use super::planted_fused::sizes;

/// The change to the kernel, the op, the text and its replacement.
type Planted = (&'static str, Box<dyn Op>, &'static str, &'static str);

pub fn mutants() -> Vec<Planted> {
    let pool = || {
        Box::new(ConvPoolForward {
            sizes: sizes((1, 1)),
            gathered: None,
        })
    };
    let pool_backward = || {
        Box::new(ConvPoolBackwardWeight {
            sizes: sizes((1, 1)),
            gathered: None,
            accumulate: true,
            is_wide: false,
        })
    };
    // More tiles than lanes whose sums are kept at once.
    let wide = || {
        let small = sizes((1, 1));
        let planes = WindowedPlanes::new(24, (8, 9).into(), small.geometry.window, "mutant");
        Box::new(ConvPoolBackwardWeight {
            sizes: ConvSizes {
                batch: 12,
                geometry: planes.unwrap(),
                ..small
            },
            is_wide: true,
            ..*pool_backward()
        })
    };
    vec![
        ("rows of the window swapped", pool(), "above = below;", ""),
        (
            "last window of a tile left out",
            pool(),
            "pw + 3u, top_right.zw",
            "pw + 3u, top_right.xy",
        ),
        ("ReLU forgotten", pool(), "max(best, 0)", "best"),
        (
            "another pixel's index",
            pool(),
            "first + OW, keys.z == best",
            "first + 1u, keys.z == best",
        ),
        (
            "windows without a gradient counted",
            pool_backward(),
            "(pixels != vec4<u32>(NO_PIXEL)) & ",
            "",
        ),
        (
            "accumulates nothing",
            pool_backward(),
            "select(0.0, d_weight[at], ACCUMULATE)",
            "0.0",
        ),
        (
            "lanes left out of a weight's sum",
            pool_backward(),
            "sum += lane_sums[i].kernels",
            "sum += lane_sums[i % 32u].kernels",
        ),
        (
            "the other channel's bias",
            pool_backward(),
            "lane_sums[i].totals[own]",
            "lane_sums[i].totals[1u - own]",
        ),
        (
            "sums of the first lanes overwritten",
            wide(),
            "sums = sum_of(lane_sums[lane % STAGED], sums);",
            "",
        ),
        (
            "a row of the kernel twice",
            pool_backward(),
            "row_gradient(one, row2, row3)",
            "row_gradient(one, row1, row2)",
        ),
        (
            "gradients of the other channel",
            pool_backward(),
            "winners_at(n, o + 1u, ph, pw)",
            "winners_at(n, o, ph, pw)",
        ),
        (
            "right pixel taken for the left",
            pool_backward(),
            "corner % OW == vec4<u32>(1u)",
            "corner == vec4<u32>(1u)",
        ),
        (
            "second word of a pair taken for the first",
            pool(),
            "let odd = at % 2u;\n    let pair",
            "let odd = 0u;\n    let pair",
        ),
    ]
}
