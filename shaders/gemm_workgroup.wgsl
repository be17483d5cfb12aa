// A matrix product of any size. One workgroup of 64 computes a 32×32 tile, staging slices of both
// factors in workgroup memory; each lane computes a 4×4 block of it in registers.
//
// Preludes: invocation, relu, outer, product, product_tile.

const TILE: u32 = 32u;
const SLICE: u32 = 16u; // of K, staged at once

// WORKGROUP_SIZE: the number of 4×4 blocks in a tile.

var<workgroup> a_slice: array<array<f32, TILE>, SLICE>; // (SLICE, TILE): columns of A
var<workgroup> b_slice: array<array<f32, TILE>, SLICE>; // (SLICE, TILE): rows of B

// One element of A or B, zero past the edge.
fn a_at(batch: u32, m: u32, k: u32) -> f32 {
    if m >= M || k >= K {
        return 0.0;
    }
    let first = select(batch * M * K, 0u, A_SHARED);
    return a[first + select(m * K + k, k * M + m, A_TRANSPOSED)];
}

fn b_at(batch: u32, k: u32, n: u32) -> f32 {
    if k >= K || n >= N {
        return 0.0;
    }
    return b[batch * K * N + select(k * N + n, n * K + k, B_TRANSPOSED)];
}

// Stages the slice of A and B from k on; neighbouring lanes load neighbouring words.
fn stage(tile: vec3<u32>, k: u32, lane: u32) {
    workgroupBarrier();
    for (var i = lane; i < TILE * SLICE; i += WORKGROUP_SIZE) {
        let along_k = vec2<u32>(i % SLICE, i / SLICE);
        let along_mn = vec2<u32>(i / TILE, i % TILE);
        let a_from = select(along_k, along_mn, A_TRANSPOSED);
        let b_from = select(along_mn, along_k, B_TRANSPOSED);
        a_slice[a_from.x][a_from.y] = a_at(tile.z, tile.x + a_from.y, k + a_from.x);
        b_slice[b_from.x][b_from.y] = b_at(tile.z, k + b_from.x, tile.y + b_from.y);
    }
    workgroupBarrier();
}

// The 4×4 block at (m, n) of the tile, over one slice.
fn multiply_slice(m: u32, n: u32) -> mat4x4<f32> {
    var rows = mat4x4<f32>();
    for (var k = 0u; k < SLICE; k++) {
        let a_column = vec4<f32>(a_slice[k][m], a_slice[k][m + 1u], a_slice[k][m + 2u], a_slice[k][m + 3u]);
        let b_row = vec4<f32>(b_slice[k][n], b_slice[k][n + 1u], b_slice[k][n + 2u], b_slice[k][n + 3u]);
        rows += outer(a_column, b_row);
    }
    return rows;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gemm_workgroup(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_at(workgroup_index(workgroup, workgroups), TILE);
    let own = vec2<u32>(lane / 8u, lane % 8u) * 4u;
    var rows = mat4x4<f32>();
    for (var k = 0u; k < K; k += SLICE) {
        stage(tile, k, lane);
        rows += multiply_slice(own.x, own.y);
    }
    store_tile(tile.z, tile.x + own.x, tile.y + own.y, rows);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gemm_workgroup_sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_at(workgroup_index(workgroup, workgroups), TILE);
    let own = vec2<u32>(lane / 8u, lane % 8u) * 4u;
    var rows = mat4x4<f32>();
    var sum = 0.0; // of row tile.x + lane
    for (var k = 0u; k < K; k += SLICE) {
        stage(tile, k, lane);
        rows += multiply_slice(own.x, own.y);
        for (var i = 0u; i < SLICE; i++) {
            sum += a_slice[i][lane % TILE];
        }
    }
    store_tile(tile.z, tile.x + own.x, tile.y + own.y, rows);
    if tile.y == 0u && lane < TILE {
        store_sum(tile.z, tile.x + lane, sum);
    }
}
