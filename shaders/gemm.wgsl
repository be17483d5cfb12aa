// Batched matrix multiplication. One invocation computes a TILE_M × TILE_N tile of one product in
// registers: 8 loads feed 16 multiply-adds. Strides give the factors' layouts, so that a
// transpose costs nothing; the batch repeats the matrices of a factor that has fewer.
//
// Preludes: invocation.

const TILE_M: u32 = 4;
const TILE_N: u32 = 4;

override BATCH: u32;
override M: u32;
override N: u32;
override K: u32;
override SPLIT_K: u32; // parts that K is cut into, each a partial product
override A_MATRICES: u32;
override A_ROW: u32;
override A_COLUMN: u32;
override B_MATRICES: u32;
override B_ROW: u32;
override B_COLUMN: u32;
override ACCUMULATE: bool;

@group(0) @binding(0) var<storage, read> a: array<f32>; // (A_MATRICES, M, K)
@group(0) @binding(1) var<storage, read> b: array<f32>; // (B_MATRICES, K, N)
@group(0) @binding(2) var<storage, read_write> product: array<f32>; // (BATCH, SPLIT_K, M, N)

fn store(part: u32, m: u32, n: u32, value: f32) {
    if m >= M || n >= N {
        return;
    }
    let index = (part * M + m) * N + n;
    if ACCUMULATE {
        product[index] += value;
    } else {
        product[index] = value;
    }
}

fn store_row(part: u32, m: u32, n: u32, row: vec4<f32>) {
    store(part, m, n, row.x);
    store(part, m, n + 1u, row.y);
    store(part, m, n + 2u, row.z);
    store(part, m, n + 3u, row.w);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gemm(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    let tiles_n = (N + TILE_N - 1u) / TILE_N;
    let tiles_m = (M + TILE_M - 1u) / TILE_M;
    let n = index % tiles_n * TILE_N;
    let m = index / tiles_n % tiles_m * TILE_M;
    let part = index / (tiles_n * tiles_m);
    if part >= BATCH * SPLIT_K {
        return;
    }
    let batch = part / SPLIT_K;
    let part_len = (K + SPLIT_K - 1u) / SPLIT_K;
    let begin = part % SPLIT_K * part_len;
    let end = min(begin + part_len, K);

    // Indices past the edge are clamped; their results are not stored.
    let tile = vec4<u32>(0u, 1u, 2u, 3u);
    let rows = batch % A_MATRICES * (M * K) + min(m + tile, vec4<u32>(M - 1u)) * A_ROW;
    let columns = batch % B_MATRICES * (K * N) + min(n + tile, vec4<u32>(N - 1u)) * B_COLUMN;
    var row0 = vec4<f32>();
    var row1 = vec4<f32>();
    var row2 = vec4<f32>();
    var row3 = vec4<f32>();
    for (var k = begin; k < end; k++) {
        let at = columns + k * B_ROW;
        let b_row = vec4<f32>(b[at.x], b[at.y], b[at.z], b[at.w]);
        let from_row = rows + k * A_COLUMN;
        row0 += a[from_row.x] * b_row;
        row1 += a[from_row.y] * b_row;
        row2 += a[from_row.z] * b_row;
        row3 += a[from_row.w] * b_row;
    }
    store_row(part, m, n, row0);
    store_row(part, m + 1u, n, row1);
    store_row(part, m + 2u, n, row2);
    store_row(part, m + 3u, n, row3);
}
