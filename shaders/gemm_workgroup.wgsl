// A matrix product of any size. One workgroup of 64 computes a tile of 32×32, staging slices of both
// factors in workgroup memory; each lane computes 4×4 of it in registers.

const TILE: u32 = 32u;
const SLICE: u32 = 16u; // of K, staged at once

override BATCH: u32;
override M: u32;
override N: u32;
override K: u32;
override A_TRANSPOSED: bool; // A is stored (K, M)
override B_TRANSPOSED: bool; // B is stored (N, K)
override A_SHARED: bool; // one A for the whole batch
override BIAS: bool; // extra is a bias (N)
override BIAS_OF_ROWS: bool; // or (M)
override RELU: bool; // the rectifier follows the bias
override MASKED: bool; // extra (BATCH, M, N) is what the rectifier let pass: zero elsewhere
override ACCUMULATE: bool;
override WORKGROUP_SIZE: u32 = 64; // as many as the tile has squares of 4×4

@group(0) @binding(0) var<storage, read> a: array<f32>; // (BATCH, M, K)
@group(0) @binding(1) var<storage, read> b: array<f32>; // (BATCH, K, N)
@group(0) @binding(2) var<storage, read> extra: array<f32>; // what the epilogue reads, or b
@group(0) @binding(3) var<storage, read_write> product: array<f32>; // (BATCH, M, N)
@group(0) @binding(4) var<storage, read_write> row_sums: array<f32>; // (BATCH, M), of A

// Where the tile of a workgroup begins: (m, n), and of which product: z.
fn tile_of(workgroup: vec3<u32>, workgroups: vec3<u32>) -> vec3<u32> {
    let index = workgroup.x + workgroup.y * workgroups.x;
    let tiles_n = (N + TILE - 1u) / TILE;
    let tiles_m = (M + TILE - 1u) / TILE;
    return vec3<u32>(index / tiles_n % tiles_m * TILE, index % tiles_n * TILE, index / (tiles_n * tiles_m));
}

// Column i of a tile's matrix is row i of the tile.
fn outer(column: vec4<f32>, row: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(column.x * row, column.y * row, column.z * row, column.w * row);
}

// Whether the rectifier passes it: above zero, or NaN, which only the bits tell.
fn passes(value: f32) -> bool {
    let bits = bitcast<u32>(value);
    return (bits & 0x7fffffffu) > 0x7f800000u || bitcast<i32>(bits) > 0;
}

fn store(batch: u32, m: u32, n: u32, sum: f32) {
    if batch >= BATCH || m >= M || n >= N {
        return;
    }
    let index = (batch * M + m) * N + n;
    var value = sum;
    if ACCUMULATE {
        value += product[index];
    }
    if BIAS {
        value += extra[select(n, m, BIAS_OF_ROWS)];
    }
    if RELU && !passes(value) {
        value = 0.0;
    }
    if MASKED && !passes(extra[index]) {
        value = 0.0;
    }
    product[index] = value;
}

fn store_row(batch: u32, m: u32, n: u32, row: vec4<f32>) {
    store(batch, m, n, row.x);
    store(batch, m, n + 1u, row.y);
    store(batch, m, n + 2u, row.z);
    store(batch, m, n + 3u, row.w);
}

fn store_tile(batch: u32, m: u32, n: u32, rows: mat4x4<f32>) {
    store_row(batch, m, n, rows[0]);
    store_row(batch, m + 1u, n, rows[1]);
    store_row(batch, m + 2u, n, rows[2]);
    store_row(batch, m + 3u, n, rows[3]);
}

fn store_sum(batch: u32, m: u32, sum: f32) {
    let is_real = batch < BATCH && m < M;
    if is_real && ACCUMULATE {
        row_sums[batch * M + m] += sum;
    } else if is_real {
        row_sums[batch * M + m] = sum;
    }
}

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

// Stages the slice of A and B from k on: neighbouring lanes load neighbours in memory.
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

// Rows m.. and columns n.. of the tile, four each, in registers.
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
    let tile = tile_of(workgroup, workgroups);
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
    let tile = tile_of(workgroup, workgroups);
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
