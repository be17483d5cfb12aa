//! Convolutions, pools and resizes at large sizes.

use super::large::ROWS;
use crate::error::{Error, Result};
use crate::ops::{
    AvgPoolBackward, AvgPoolForward, Bins, Col2im, ConvBackwardInput, ConvBackwardWeight,
    ConvForward, ConvPoolBackwardWeight, ConvPoolForward, ConvSizes, DepthwiseBackwardInput,
    DepthwiseBackwardWeight, DepthwiseForward, DepthwiseSizes, Gemm, Im2col, Interpolation,
    MaxPoolBackward, MaxPoolBackwardAll, MaxPoolForward, Op, Operand, Pool, Resize,
    UpsampleBackward, UpsampleForward,
};
use crate::shape::{Padding, Window, WindowedPlanes};

/// One or two of each op.
pub(super) fn large() -> Result<Vec<Box<dyn Op>>> {
    let mut ops = windows()?;
    ops.extend(depthwise()?);
    ops.extend(resizes());
    ops.extend(avg_pools());
    Ok(ops)
}

fn windows() -> Result<Vec<Box<dyn Op>>> {
    let sizes =
        |batch: usize, [in_channels, out_channels]: [usize; 2], plane: usize, kernel: usize| {
            let window = Window {
                padding: (kernel / 2).into(),
                ..Window::new(kernel)
            };
            let planes = batch * in_channels;
            let geometry = WindowedPlanes::new(planes, plane.into(), window, "sizes")?;
            Ok::<_, Error>(ConvSizes {
                batch,
                in_channels,
                out_channels,
                geometry,
            })
        };
    let mut ops: Vec<Box<dyn Op>> = Vec::new();
    // A plane past 2¹⁸ pixels, a batch past 2,048, a filter past 65,535 weights.
    for sizes in [
        sizes(2, [2, 3], 521, 3)?,
        sizes(ROWS, [3, 5], 10, 4)?,
        sizes(1, [7500, 2], 5, 3)?,
    ] {
        let positions = sizes.batch * sizes.geometry.output_area();
        let parts = positions.div_ceil(20_000);
        let tile = None;
        let (bias, relu) = (true, true);
        let forward = ConvForward {
            sizes,
            bias,
            relu,
            tile,
        };
        let input = ConvBackwardInput { sizes, tile };
        let weight = ConvBackwardWeight { sizes, parts, tile };
        for variants in [forward.variants(), input.variants(), weight.variants()] {
            // By invocation, and in the lowest tiles.
            ops.extend(variants.into_iter().take(2).map(|variant| variant.op));
        }
        for gathered in [None, Some(sizes.batch + 3)] {
            ops.push(Box::new(ConvPoolForward { sizes, gathered }));
            ops.push(Box::new(ConvPoolBackwardWeight {
                sizes,
                gathered,
                accumulate: false,
                is_wide: gathered.is_some(),
            }));
        }
        let geometry = sizes.geometry;
        ops.push(Box::new(Im2col {
            geometry,
            fours: false,
        }));
        ops.push(Box::new(Col2im { geometry }));
        ops.push(Box::new(MaxPoolForward {
            geometry,
            relu: true,
        }));
        ops.push(Box::new(MaxPoolBackward {
            geometry,
            disjoint: false,
        }));
        ops.push(Box::new(MaxPoolBackwardAll { geometry }));
    }
    Ok(ops)
}

/// Planes past 2¹⁸ pixels, a batch past 2,048, many channels.
fn depthwise() -> Result<Vec<Box<dyn Op>>> {
    let mut ops: Vec<Box<dyn Op>> = Vec::new();
    for ([batch, channels, multiplier], plane) in
        [([2, 2, 2], 521), ([ROWS, 3, 1], 10), ([1, 7500, 3], 5)]
    {
        let window = Window {
            padding: Padding::sides(1, 2, 0, 1),
            ..Window::new((4, 3))
        };
        let planes = batch * channels;
        let sizes = DepthwiseSizes {
            batch,
            channels,
            multiplier,
            geometry: WindowedPlanes::new(planes, plane.into(), window, "sizes")?,
        };
        let parts = sizes.positions().div_ceil(20_000);
        let (bias, relu) = (true, true);
        ops.push(Box::new(DepthwiseForward { sizes, bias, relu }));
        ops.push(Box::new(DepthwiseBackwardInput { sizes }));
        ops.push(Box::new(DepthwiseBackwardWeight { sizes, parts }));
    }
    let (weights, images) = (Operand::PLAIN.repeated(7), Operand::PLAIN);
    ops.push(Box::new(Gemm::new(7 * ROWS, [5, 30, 18], weights, images)));
    Ok(ops)
}

/// Many small planes, and planes past 2¹⁸ pixels, made larger and smaller.
fn resizes() -> Vec<Box<dyn Op>> {
    let mut ops: Vec<Box<dyn Op>> = Vec::new();
    for interpolation in [Interpolation::Nearest, Interpolation::Bilinear] {
        for (planes, input, output) in [
            (ROWS, (5, 7), (10, 21)),
            (2, (521, 517), (1042, 600)),
            (3, (700, 601), (3, 400)),
        ] {
            let resize = Resize {
                planes,
                input: input.into(),
                output: output.into(),
                interpolation,
            };
            ops.push(Box::new(UpsampleForward { resize }));
            ops.push(Box::new(UpsampleBackward { resize }));
        }
    }
    ops
}

/// Means of whole planes, of large and of overlapping bins, and of windows.
fn avg_pools() -> Vec<Box<dyn Op>> {
    let plane = |planes, input: (usize, usize), output: (usize, usize), bins| Pool {
        planes,
        input: input.into(),
        output: output.into(),
        bins,
    };
    let windows = |count_padding| Bins::Windows {
        kernel: 5.into(),
        stride: (2, 3).into(),
        padding: (2, 1).into(),
        count_padding,
    };
    let pools = [
        Pool::global(3, 515 * 510),
        plane(ROWS, (13, 17), (5, 7), Bins::Adaptive),
        plane(3, (1033, 701), (9, 500), Bins::Adaptive),
        plane(2, (521, 517), (261, 172), windows(true)),
        plane(ROWS, (9, 10), (5, 3), windows(false)),
    ];
    let ops = pools.into_iter().flat_map(|pool| -> [Box<dyn Op>; 2] {
        [
            Box::new(AvgPoolForward { pool }),
            Box::new(AvgPoolBackward { pool }),
        ]
    });
    ops.collect()
}
