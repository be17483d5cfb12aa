//! Faults planted in the ops that copy, resize, multiply and average planes.

use wgrad::ops::{
    AvgPoolBackward, AvgPoolForward, Bins, CopySlice, Interpolation, Multiply, Op, Pool, Resize,
    UpsampleBackward, UpsampleForward,
};

/// The change to the kernel, the op, the text and its replacement.
type Planted = (&'static str, Box<dyn Op>, &'static str, &'static str);

fn copies() -> Vec<Planted> {
    let into = || Box::new(CopySlice::into_rows(5, 14, 23, 4));
    let out_of = || Box::new(CopySlice::into_rows(5, 14, 23, 4).reversed());
    vec![
        (
            "always to the beginning",
            into(),
            "OUTPUT_ROW + TO",
            "OUTPUT_ROW",
        ),
        (
            "always from the beginning",
            out_of(),
            "INPUT_ROW + FROM",
            "INPUT_ROW",
        ),
        (
            "rows of the input's length",
            into(),
            "row * OUTPUT_ROW",
            "row * INPUT_ROW",
        ),
        (
            "first row for all",
            out_of(),
            "input[row * INPUT_ROW + FROM",
            "input[FROM",
        ),
        (
            "last word left out",
            into(),
            "index >= ROWS * LEN",
            "index + 1u >= ROWS * LEN",
        ),
        (
            "a word too many",
            into(),
            "let row = index / LEN;",
            "let row = index / (LEN + 1u);",
        ),
    ]
}

fn resizes() -> Vec<Planted> {
    let resize = |interpolation, output: (usize, usize)| Resize {
        planes: 3,
        input: (5, 4).into(),
        output: output.into(),
        interpolation,
    };
    let nearest = |output| {
        let resize = resize(Interpolation::Nearest, output);
        Box::new(UpsampleForward { resize })
    };
    let nearest_backward = |output| {
        let resize = resize(Interpolation::Nearest, output);
        Box::new(UpsampleBackward { resize })
    };
    let bilinear = |output| {
        let resize = resize(Interpolation::Bilinear, output);
        Box::new(UpsampleForward { resize })
    };
    let bilinear_backward = |output| {
        let resize = resize(Interpolation::Bilinear, output);
        Box::new(UpsampleBackward { resize })
    };
    vec![
        (
            "rows not divided",
            nearest((10, 8)),
            "% OH * DOWN_H / UP_H",
            "% OH / DOWN_H",
        ),
        (
            "height's ratio for width",
            nearest((10, 12)),
            "% OW * DOWN_W / UP_W",
            "% OW * DOWN_H / UP_H",
        ),
        (
            "the next pixel for every other row",
            nearest((7, 8)),
            "% OH * DOWN_H / UP_H",
            "% OH * DOWN_H / UP_H + index / OW % 2u",
        ),
        (
            "readers from one too early",
            nearest_backward((7, 11)),
            "at * up + down - 1u) / down, (",
            "at * up) / down, (",
        ),
        (
            "last reader left out",
            nearest_backward((10, 8)),
            "ow < columns.end",
            "ow + 1u < columns.end",
        ),
        (
            "readers of another plane",
            nearest_backward((10, 8)),
            "index / (H * W) * OH",
            "index / W * OH",
        ),
        (
            "corners aligned",
            bilinear((10, 8)),
            "(2u * o + 1u) * down",
            "2u * o * down",
        ),
        (
            "not cut off at zero",
            bilinear((10, 8)),
            "max((2u * o + 1u) * down, up) - up",
            "(2u * o + 1u) * down",
        ),
        (
            "weights swapped",
            bilinear((7, 9)),
            "2u * up - rest, rest);",
            "rest, 2u * up - rest);",
        ),
        (
            "same row twice",
            bilinear((10, 8)),
            "H + rows.after) * W",
            "H + rows.before) * W",
        ),
        (
            "weights of width for height",
            bilinear((15, 8)),
            "weight(rows.weight_after, UP_H)",
            "weight(rows.weight_after, UP_W)",
        ),
        (
            "past the last pixel",
            bilinear((10, 8)),
            "min(before + 1u, extent - 1u)",
            "before + 1u",
        ),
        (
            "only the pixel before",
            bilinear_backward((10, 8)),
            "        + select(0u, mixed.weight_after, mixed.after == at)",
            "",
        ),
        (
            "readers after the pixel left out",
            bilinear_backward((10, 8)),
            "(2u * at + 3u) * up",
            "(2u * at + 1u) * up",
        ),
        (
            "readers before the pixel left out",
            bilinear_backward((10, 8)),
            "(2u * at - 1u) * up",
            "(2u * at + 1u) * up",
        ),
        (
            "first readers left out",
            bilinear_backward((10, 8)),
            "var begin = 0u;",
            "var begin = 1u;",
        ),
        (
            "rows not weighted",
            bilinear_backward((7, 8)),
            "sum += vertical * of_row",
            "sum += of_row",
        ),
        (
            "one of a smaller plane",
            bilinear_backward((3, 2)),
            "min(end, outputs)",
            "min(end, outputs - 1u)",
        ),
    ]
}

fn pools() -> Vec<Planted> {
    let windows = |count_padding| Pool {
        planes: 3,
        input: (8, 7).into(),
        output: (4, 5).into(),
        bins: Bins::Windows {
            kernel: (4, 3).into(),
            stride: (2, 1).into(),
            padding: (1, 0).into(),
            count_padding,
        },
    };
    let adaptive = Pool {
        planes: 3,
        input: (8, 7).into(),
        output: (3, 5).into(),
        bins: Bins::Adaptive,
    };
    let forward = |pool| Box::new(AvgPoolForward { pool });
    let backward = |pool| Box::new(AvgPoolBackward { pool });
    let global = Pool::global(10, 7);
    vec![
        (
            "last pixel left out",
            forward(global),
            "w < pixels.end.y",
            "w + 1u < pixels.end.y",
        ),
        (
            "sum, not mean",
            forward(global),
            "sum / divisor(pixels)",
            "sum",
        ),
        (
            "pixels of all planes mixed",
            forward(global),
            "(plane + h) * W + w",
            "w * PLANES + plane",
        ),
        (
            "gradient not divided",
            backward(global),
            "+ ow] / size",
            "+ ow]",
        ),
        (
            "gradient of another plane",
            backward(global),
            "index / (H * W) * OH",
            "index % PLANES * OH",
        ),
        (
            "bins apart",
            forward(adaptive),
            "quotient_up((bin + 1u) * pixels, bins)",
            "(bin + 1u) * pixels / bins",
        ),
        (
            "bins of width for height",
            forward(adaptive),
            "let pixels = vec2<u32>(PIXELS_H, PIXELS_W)",
            "let pixels = vec2<u32>(PIXELS_W, PIXELS_H)",
        ),
        (
            "bins counted as apart",
            backward(adaptive),
            "quotient_up((pixel + 1u) * bins, pixels)",
            "(pixel + 1u) * bins / pixels",
        ),
        (
            "size of the first bin for all",
            backward(adaptive),
            "pixels_of(vec2<u32>(oh, ow))",
            "pixels_of(vec2<u32>())",
        ),
        (
            "padding counted",
            forward(windows(false)),
            "COUNT_PADDING)",
            "true)",
        ),
        (
            "padding not counted",
            forward(windows(true)),
            "COUNT_PADDING)",
            "false)",
        ),
        (
            "padding not counted in the gradient",
            backward(windows(true)),
            "COUNT_PADDING)",
            "false)",
        ),
        (
            "stride of width for height",
            forward(windows(true)),
            "vec2<u32>(STRIDE_H, STRIDE_W);",
            "vec2<u32>(STRIDE_W, STRIDE_H);",
        ),
        (
            "past the last row",
            forward(windows(true)),
            "min(end, padding + vec2<u32>(H, W)) - padding",
            "end - padding",
        ),
        (
            "a window that ends before the pixel",
            backward(windows(true)),
            "max(place + 1u, kernel)",
            "max(place, kernel)",
        ),
        (
            "last window left out",
            backward(windows(true)),
            "min(place / stride + 1u,",
            "min(place / stride,",
        ),
        (
            "more windows than there are",
            backward(windows(true)),
            "vec2<u32>(OH, OW)),\n    );",
            "vec2<u32>(OH, OW + 1u)),\n    );",
        ),
    ]
}

fn products() -> Vec<Planted> {
    let of_planes = || {
        Box::new(Multiply {
            planes: 10,
            area: 7,
        })
    };
    let elementwise = || Box::new(Multiply::elementwise(70));
    vec![
        (
            "factor of another plane",
            of_planes(),
            "factors[index / AREA]",
            "factors[index % PLANES]",
        ),
        (
            "factor forgotten",
            elementwise(),
            " * factors[index / AREA]",
            "",
        ),
        ("sum", elementwise(), "planes[index] * ", "planes[index] + "),
        (
            "last left out",
            of_planes(),
            "index >= PLANES * AREA",
            "index + 1u >= PLANES * AREA",
        ),
    ]
}

pub fn mutants() -> Vec<Planted> {
    let mut all = copies();
    all.extend(resizes());
    all.extend(pools());
    all.extend(products());
    all
}
