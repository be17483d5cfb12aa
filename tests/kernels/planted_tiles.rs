//! Faults planted in the kernel of large tiles.

use wgrad::ops::{Epilogue, Op, Product};

/// The change to the kernel, the op, the text and its replacement.
type Planted = (&'static str, Box<dyn Op>, &'static str, &'static str);

/// A product that takes more than one tile of 64×64, and ends within a slice.
fn product(kernel: &str, transposed: [bool; 2], epilogue: Epilogue) -> Box<dyn Op> {
    let product = Product {
        batch: 2,
        ..Product::new([68, 100, 36], transposed, epilogue)
    };
    let mut variants = product.variants().into_iter();
    let named = variants.find(|variant| variant.name == kernel);
    named.expect("a kernel of that name").op
}

pub fn mutants() -> Vec<Planted> {
    let plain = |kernel, transposed| product(kernel, transposed, Epilogue::Plain);
    let sums = |kernel| product(kernel, [true, false], Epilogue::RowSums);
    vec![
        (
            "a slice too few",
            plain("gemm_tile_64x64/64", [false, false]),
            "k < K; k += SLICE",
            "k + SLICE < K; k += SLICE",
        ),
        (
            "terms past the last one",
            sums("gemm_tile_64x64/64"),
            "if at.x >= M || at.y >= K {",
            "if at.x >= M {",
        ),
        (
            "blocks changed places",
            plain("gemm_tile_128x64/128", [false, false]),
            "column + TILE_N / 2u, sums.top_right",
            "column + TILE_N / 2u, sums.bottom_left",
        ),
        (
            "the upper half of A twice",
            plain("gemm_tile_128x128/256", [true, false]),
            "a_slice[a_at + TILE_M / 8u]",
            "a_slice[a_at]",
        ),
        (
            "half of what a lane loads",
            plain("gemm_tile_128x64/128", [true, true]),
            "loaded.a1 = load_a(tile, k, lane + WORKGROUP_SIZE);",
            "",
        ),
        (
            "a column in the wrong row",
            plain("gemm_tile_64x64/64", [false, false]),
            "a_slice[at + 2u * A_PITCH]",
            "a_slice[at + 3u * A_PITCH]",
        ),
        (
            "the buffer before",
            plain("gemm_tile_128x64/128", [false, false]),
            "let b_first = buffer * SLICE * B_PITCH;\n        for",
            "let b_first = 0u;\n        for",
        ),
        (
            "sums of every fourth row",
            sums("gemm_tile_64x64/64"),
            "lane / 4u][lane % 4u]",
            "lane / 4u][0]",
        ),
        (
            "a term left out of the sums",
            sums("gemm_tile_128x128/256"),
            "for (var i = 0u; i < SLICE; i++) {",
            "for (var i = 1u; i < SLICE; i++) {",
        ),
    ]
}
