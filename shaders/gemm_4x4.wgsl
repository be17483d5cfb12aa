// A matrix product of any size. One invocation computes a tile of 4×4 in registers: 8 loads feed 16
// multiply-adds.

const TILE: u32 = 4u;

override M: u32;
override N: u32;
override K: u32;
override A_TRANSPOSED: bool; // A is stored (K, M)
override B_TRANSPOSED: bool; // B is stored (N, K)
override BIAS: bool; // extra is a bias (N)
override RELU: bool; // the rectifier follows the bias
override MASKED: bool; // extra (M, N) is what the rectifier let pass: zero elsewhere
override ACCUMULATE: bool;
override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> a: array<f32>; // (M, K)
@group(0) @binding(1) var<storage, read> b: array<f32>; // (K, N)
@group(0) @binding(2) var<storage, read> extra: array<f32>; // what the epilogue reads, or b
@group(0) @binding(3) var<storage, read_write> product: array<f32>; // (M, N)
@group(0) @binding(4) var<storage, read_write> row_sums: array<f32>; // (M), of A

// Where the tile of an invocation begins: (m, n).
fn tile_of(id: vec3<u32>, workgroups: vec3<u32>) -> vec2<u32> {
    let index = id.x + id.y * workgroups.x * WORKGROUP_SIZE;
    let tiles_n = (N + TILE - 1u) / TILE;
    return vec2<u32>(index / tiles_n, index % tiles_n) * TILE;
}

// Column k of A and row k of B within a tile; past the edge the last one again, never stored.
fn a_column(m: u32, k: u32) -> vec4<f32> {
    let rows = min(m + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(M - 1u));
    let at = select(rows * K + k, k * M + rows, A_TRANSPOSED);
    return vec4<f32>(a[at.x], a[at.y], a[at.z], a[at.w]);
}

fn b_row(k: u32, n: u32) -> vec4<f32> {
    let columns = min(n + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(N - 1u));
    let at = select(k * N + columns, columns * K + k, B_TRANSPOSED);
    return vec4<f32>(b[at.x], b[at.y], b[at.z], b[at.w]);
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

fn store(m: u32, n: u32, sum: f32) {
    if m >= M || n >= N {
        return;
    }
    let index = m * N + n;
    var value = sum;
    if ACCUMULATE {
        value += product[index];
    }
    if BIAS {
        value += extra[n];
    }
    if RELU && !passes(value) {
        value = 0.0;
    }
    if MASKED && !passes(extra[index]) {
        value = 0.0;
    }
    product[index] = value;
}

fn store_row(m: u32, n: u32, row: vec4<f32>) {
    store(m, n, row.x);
    store(m, n + 1u, row.y);
    store(m, n + 2u, row.z);
    store(m, n + 3u, row.w);
}

fn store_tile(m: u32, n: u32, rows: mat4x4<f32>) {
    store_row(m, n, rows[0]);
    store_row(m + 1u, n, rows[1]);
    store_row(m + 2u, n, rows[2]);
    store_row(m + 3u, n, rows[3]);
}

fn store_sum(m: u32, sum: f32) {
    if m < M && ACCUMULATE {
        row_sums[m] += sum;
    } else if m < M {
        row_sums[m] = sum;
    }
}

fn store_sums(m: u32, sums: vec4<f32>) {
    store_sum(m, sums.x);
    store_sum(m + 1u, sums.y);
    store_sum(m + 2u, sums.z);
    store_sum(m + 3u, sums.w);
}

fn multiply(tile: vec2<u32>) {
    var rows = mat4x4<f32>();
    for (var k = 0u; k < K; k++) {
        rows += outer(a_column(tile.x, k), b_row(k, tile.y));
    }
    store_tile(tile.x, tile.y, rows);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gemm_4x4(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let tile = tile_of(id, workgroups);
    if tile.x < M {
        multiply(tile);
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gemm_4x4_sums(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let tile = tile_of(id, workgroups);
    if tile.x >= M {
        return;
    }
    multiply(tile);
    if tile.y == 0u {
        var sums = vec4<f32>();
        for (var k = 0u; k < K; k++) {
            sums += a_column(tile.x, k);
        }
        store_sums(tile.x, sums);
    }
}
