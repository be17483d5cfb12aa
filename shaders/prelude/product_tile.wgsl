// 4×4 tiles of a product of any size, with scalar loads.

@group(0) @binding(0) var<storage, read> a: array<f32>; // (BATCH, M, K)
@group(0) @binding(1) var<storage, read> b: array<f32>; // (BATCH, K, N)
@group(0) @binding(2) var<storage, read> extra: array<f32>; // the epilogue's operand, or b
@group(0) @binding(3) var<storage, read_write> product: array<f32>; // (BATCH, M, N)

// The first row and column, (m, n), of tile `index` of size×size, and its product in the batch, z.
fn tile_at(index: u32, size: u32) -> vec3<u32> {
    let tiles_n = (N + size - 1u) / size;
    let tiles_m = (M + size - 1u) / size;
    return vec3<u32>(index / tiles_n % tiles_m * size, index % tiles_n * size, index / (tiles_n * tiles_m));
}

// Column k of A and row k of B within a tile. Indices past the edge are clamped; their results are
// not stored.
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
