// A matrix product of any size. One workgroup computes a tile of 4×4: each lane adds a part of K, and
// the lanes' sums are added by subgroups. For small products of a long K.

// Naga has no `enable subgroups;` yet: its users have the functions without it.

const TILE: u32 = 4u;

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
override WORKGROUP_SIZE: u32 = 64;

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

// Column k of A and row k of B within a tile; past the edge the last one again, never stored.
fn a_column(batch: u32, m: u32, k: u32) -> vec4<f32> {
    let rows = min(m + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(M - 1u));
    let first = select(batch * M * K, 0u, A_SHARED);
    let at = first + select(rows * K + k, k * M + rows, A_TRANSPOSED);
    return vec4<f32>(a[at.x], a[at.y], a[at.z], a[at.w]);
}

fn b_row(batch: u32, k: u32, n: u32) -> vec4<f32> {
    let columns = min(n + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(N - 1u));
    let at = batch * K * N + select(k * N + columns, columns * K + k, B_TRANSPOSED);
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

fn store_sums(batch: u32, m: u32, sums: vec4<f32>) {
    store_sum(batch, m, sums.x);
    store_sum(batch, m + 1u, sums.y);
    store_sum(batch, m + 2u, sums.z);
    store_sum(batch, m + 3u, sums.w);
}

var<workgroup> partial: array<mat4x4<f32>, WORKGROUP_SIZE>; // of each subgroup; there may be one a lane

// The sum over all lanes, in every lane: over each subgroup, then over the subgroups in their order.
fn all_lanes(
    own: mat4x4<f32>,
    lane: u32,
    subgroup_lane: u32,
    subgroup: u32,
    subgroups: u32,
) -> mat4x4<f32> {
    let sum = mat4x4<f32>(
        subgroupAdd(own[0]),
        subgroupAdd(own[1]),
        subgroupAdd(own[2]),
        subgroupAdd(own[3]),
    );
    workgroupBarrier();
    if subgroup_lane == 0u {
        partial[subgroup] = sum;
    }
    workgroupBarrier();
    var total = partial[0];
    for (var i = 1u; i < subgroups; i++) {
        total += partial[i];
    }
    return total;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gemm_subgroup(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let tile = tile_of(workgroup, workgroups);
    var rows = mat4x4<f32>();
    for (var k = lane; k < K; k += WORKGROUP_SIZE) {
        let column = a_column(tile.z, tile.x, k);
        rows += outer(column, b_row(tile.z, k, tile.y));
    }
    rows = all_lanes(rows, lane, subgroup_lane, subgroup, subgroups);
    if lane == 0u {
        store_tile(tile.z, tile.x, tile.y, rows);
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gemm_subgroup_sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let tile = tile_of(workgroup, workgroups);
    var rows = mat4x4<f32>();
    var sums = vec4<f32>();
    for (var k = lane; k < K; k += WORKGROUP_SIZE) {
        let column = a_column(tile.z, tile.x, k);
        rows += outer(column, b_row(tile.z, k, tile.y));
        sums += column;
    }
    rows = all_lanes(rows, lane, subgroup_lane, subgroup, subgroups);
    sums = all_lanes(mat4x4<f32>(sums, sums, sums, sums), lane, subgroup_lane, subgroup, subgroups)[0];
    if lane == 0u {
        store_tile(tile.z, tile.x, tile.y, rows);
        if tile.y == 0u {
            store_sums(tile.z, tile.x, sums);
        }
    }
}
