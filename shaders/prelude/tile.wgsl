// Tiles of a product for GPUs. A workgroup computes TILE_M×TILE_N from slices of both factors in
// workgroup memory; each invocation computes four 4×4 blocks in registers, half a tile apart, so
// that neighbouring lanes read neighbouring words.

override TILE_M: u32;
override TILE_N: u32;
override SLICE: u32; // of K, staged at once: a multiple of four
override BUFFERS: u32; // 2: one slice is written while the other is read, with half the barriers
// WORKGROUP_SIZE: TILE_M / 8 × TILE_N / 8.

// Fours of a staged row. One of padding: lanes that write a column hit different banks.
override A_PITCH: u32 = TILE_M / 4u + 1u;
override B_PITCH: u32 = TILE_N / 4u + 1u;
override A_FOURS: u32 = BUFFERS * SLICE * A_PITCH;
override B_FOURS: u32 = BUFFERS * SLICE * B_PITCH;

var<workgroup> a_slice: array<vec4<f32>, A_FOURS>; // (BUFFERS, SLICE, TILE_M): columns of A
var<workgroup> b_slice: array<vec4<f32>, B_FOURS>; // (BUFFERS, SLICE, TILE_N): rows of B

// Four 4×4 blocks; column i of each matrix is row i of the block.
struct Sums {
    top_left: mat4x4<f32>,
    top_right: mat4x4<f32>,
    bottom_left: mat4x4<f32>,
    bottom_right: mat4x4<f32>,
}

// As a chain of multiply-adds, which `sums + outer` would not be.
fn add_outer(sums: mat4x4<f32>, column: vec4<f32>, row: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        fma(column.xxxx, row, sums[0]),
        fma(column.yyyy, row, sums[1]),
        fma(column.zzzz, row, sums[2]),
        fma(column.wwww, row, sums[3]),
    );
}

// Adds the product of a column of the slice of A and a row of that of B.
fn add_rank_one(sums: Sums, a_at: u32, b_at: u32) -> Sums {
    let top = a_slice[a_at];
    let bottom = a_slice[a_at + TILE_M / 8u];
    let left = b_slice[b_at];
    let right = b_slice[b_at + TILE_N / 8u];
    return Sums(
        add_outer(sums.top_left, top, left),
        add_outer(sums.top_right, top, right),
        add_outer(sums.bottom_left, bottom, left),
        add_outer(sums.bottom_right, bottom, right),
    );
}

// Adds the product of two slices. `a_first` and `b_first` are the invocation's first fours.
fn add_slice(before: Sums, a_first: u32, b_first: u32) -> Sums {
    var sums = before;
    for (var i = 0u; i < SLICE; i += 4u) {
        let a_at = a_first + i * A_PITCH;
        let b_at = b_first + i * B_PITCH;
        sums = add_rank_one(sums, a_at, b_at);
        sums = add_rank_one(sums, a_at + A_PITCH, b_at + B_PITCH);
        sums = add_rank_one(sums, a_at + 2u * A_PITCH, b_at + 2u * B_PITCH);
        sums = add_rank_one(sums, a_at + 3u * A_PITCH, b_at + 3u * B_PITCH);
    }
    return sums;
}
