// A matrix product of sizes that are multiples of four. One invocation computes an 8×8 tile in
// registers as four 4×4 blocks: 16 loads of four floats feed 256 multiply-adds.
//
// Preludes: invocation, relu, product, product_fours.

const TILE: u32 = 8u;

// The first row and column, (m, n), of an invocation's tile, and its product in the batch, z.
fn tile_of(id: vec3<u32>, workgroups: vec3<u32>) -> vec3<u32> {
    let index = invocation(id, workgroups);
    let tiles_m = (M + TILE - 1u) / TILE;
    let tiles_n = (N + TILE - 1u) / TILE;
    // Neighbours share the columns of B, the larger factor.
    return vec3<u32>(index % tiles_m * TILE, index / tiles_m % tiles_n * TILE, index / (tiles_n * tiles_m));
}

// A[m..m+4, k..k+4]: column i of the matrix is row i of the block.
fn a_block(batch: u32, m: u32, k: u32) -> mat4x4<f32> {
    let first = select(batch * M * K, 0u, A_SHARED);
    if A_TRANSPOSED {
        let at = (first + k * M + m) / 4u;
        return transpose(mat4x4<f32>(a[at], a[at + M / 4u], a[at + M / 2u], a[at + M / 4u * 3u]));
    }
    let at = (first + m * K + k) / 4u;
    return mat4x4<f32>(a[at], a[at + K / 4u], a[at + K / 2u], a[at + K / 4u * 3u]);
}

// B[k..k+4, n..n+4], likewise.
fn b_block(batch: u32, k: u32, n: u32) -> mat4x4<f32> {
    let first = batch * K * N;
    if B_TRANSPOSED {
        let at = (first + n * K + k) / 4u;
        return transpose(mat4x4<f32>(b[at], b[at + K / 4u], b[at + K / 2u], b[at + K / 4u * 3u]));
    }
    let at = (first + k * N + n) / 4u;
    return mat4x4<f32>(b[at], b[at + N / 4u], b[at + N / 2u], b[at + N / 4u * 3u]);
}

// Blocks are transposed, so a block of the product is B's block times A's.
fn multiply(tile: vec3<u32>) {
    // Blocks past the edge are clamped to the last one; their results are not stored.
    let m = vec2<u32>(tile.x, min(tile.x + 4u, M - 4u));
    let n = vec2<u32>(tile.y, min(tile.y + 4u, N - 4u));
    var rows00 = mat4x4<f32>();
    var rows01 = mat4x4<f32>();
    var rows10 = mat4x4<f32>();
    var rows11 = mat4x4<f32>();
    for (var k = 0u; k < K; k += 4u) {
        let a0 = a_block(tile.z, m.x, k);
        let a1 = a_block(tile.z, m.y, k);
        let b0 = b_block(tile.z, k, n.x);
        let b1 = b_block(tile.z, k, n.y);
        rows00 += b0 * a0;
        rows01 += b1 * a0;
        rows10 += b0 * a1;
        rows11 += b1 * a1;
    }
    store_block(tile.z, tile.x, tile.y, rows00);
    store_block(tile.z, tile.x, tile.y + 4u, rows01);
    store_block(tile.z, tile.x + 4u, tile.y, rows10);
    store_block(tile.z, tile.x + 4u, tile.y + 4u, rows11);
}

fn sum_rows(batch: u32, m: u32) {
    if m >= M {
        return;
    }
    var sums = vec4<f32>();
    for (var k = 0u; k < K; k += 4u) {
        sums += vec4<f32>(1.0) * a_block(batch, m, k);
    }
    store_sums(batch, m, sums);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gemm_8x8(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let tile = tile_of(id, workgroups);
    if tile.z < BATCH {
        multiply(tile);
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gemm_8x8_sums(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let tile = tile_of(id, workgroups);
    if tile.z >= BATCH {
        return;
    }
    multiply(tile);
    if tile.y == 0u {
        sum_rows(tile.z, tile.x);
        sum_rows(tile.z, tile.x + 4u);
    }
}
