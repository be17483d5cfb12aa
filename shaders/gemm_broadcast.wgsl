// A matrix product of sizes that are multiples of four. One invocation computes a 32×4 or 64×4 tile
// in registers. The tiles of a workgroup's lanes are side by side, so that they share the rows of
// A: eight lanes each load one of eight rows, and subgroups broadcast them, at almost no cost. Each
// lane loads its own columns of B, once for all rows of its tile. Subgroups have at least eight
// lanes.
//
// Preludes: invocation, loads, relu, product.

const HALF_M: u32 = 32u; // half the rows of a tall tile
const TILE_N: u32 = 4u;

@group(0) @binding(0) var<storage, read> a: array<Four>; // (BATCH, M, K)
@group(0) @binding(1) var<storage, read> b: array<Four>; // (BATCH, K, N)
@group(0) @binding(2) var<storage, read> extra: array<Four>; // the epilogue's operand, or b
@group(0) @binding(3) var<storage, read_write> product: array<Four>; // (BATCH, M, N)

// The first row and column, (m, n), of an invocation's tile, and its product in the batch, z. A
// whole workgroup has one m; if A is shared, the columns of all products form one row of tiles.
fn tile_of(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32, tile_m: u32) -> vec3<u32> {
    let index = workgroup_index(workgroup, workgroups);
    let tiles_m = (M + tile_m - 1u) / tile_m;
    let tiles_n = (N + TILE_N - 1u) / TILE_N;
    let row_tiles = select(tiles_n, tiles_n * BATCH, A_SHARED);
    let groups = (row_tiles + WORKGROUP_SIZE - 1u) / WORKGROUP_SIZE;
    // Rows of tiles that read the same columns of B are adjacent.
    let m = index % tiles_m * tile_m;
    let group = index / tiles_m;
    let column = group % groups * WORKGROUP_SIZE + lane;
    if A_SHARED {
        return vec3<u32>(m, column % tiles_n * TILE_N, column / tiles_n);
    }
    // A tile past the end of a row is past the edge too: computed, but not stored.
    return vec3<u32>(m, column * TILE_N, group / groups);
}

// The lane's part of eight rows of A from (m, k) on: four floats of a row, or of a column if A is
// stored transposed.
fn own_part(batch: u32, m: u32, k: u32, lane: u32) -> vec4<f32> {
    let first = select(min(batch, BATCH - 1u) * M * K, 0u, A_SHARED);
    let row = min(m + lane % 8u, M - 1u);
    let block = min(m + lane % 8u / 4u * 4u, M - 4u);
    let at = select(row * K + k, (k + lane % 4u) * M + block, A_TRANSPOSED);
    return unpack(a[(first + at) / 4u]);
}

// Two blocks of four rows of A: the columns of the matrices are the rows.
struct Rows {
    upper: mat4x4<f32>,
    lower: mat4x4<f32>,
}

// Broadcasts the parts of eight lanes: eight rows.
fn pass_around(own: vec4<f32>) -> Rows {
    let upper = mat4x4<f32>(
        subgroupBroadcast(own, 0u),
        subgroupBroadcast(own, 1u),
        subgroupBroadcast(own, 2u),
        subgroupBroadcast(own, 3u),
    );
    let lower = mat4x4<f32>(
        subgroupBroadcast(own, 4u),
        subgroupBroadcast(own, 5u),
        subgroupBroadcast(own, 6u),
        subgroupBroadcast(own, 7u),
    );
    if A_TRANSPOSED {
        return Rows(transpose(upper), transpose(lower));
    }
    return Rows(upper, lower);
}

// B[k..k+4, n..n+4]: column i of the matrix is row i of the block.
fn b_block(batch: u32, k: u32, n: u32) -> mat4x4<f32> {
    let first = batch * K * N;
    if B_TRANSPOSED {
        let at = (first + n * K + k) / 4u;
        return transpose(mat4x4<f32>(unpack(b[at]), unpack(b[at + K / 4u]), unpack(b[at + K / 2u]), unpack(b[at + K / 4u * 3u])));
    }
    let at = (first + k * N + n) / 4u;
    return mat4x4<f32>(unpack(b[at]), unpack(b[at + N / 4u]), unpack(b[at + N / 2u]), unpack(b[at + N / 4u * 3u]));
}

// A block where ReLU passes `others`, zero elsewhere.
fn rectified(block: mat4x4<f32>, others: mat4x4<f32>) -> mat4x4<f32> {
    let none = vec4<f32>();
    return mat4x4<f32>(
        select(none, block[0], passes_four(others[0])),
        select(none, block[1], passes_four(others[1])),
        select(none, block[2], passes_four(others[2])),
        select(none, block[3], passes_four(others[3])),
    );
}

fn store_block(batch: u32, m: u32, n: u32, rows: mat4x4<f32>) {
    if batch >= BATCH || m >= M || n >= N {
        return;
    }
    let at = ((batch * M + m) * N + n) / 4u + vec4<u32>(0u, N / 4u, N / 2u, N / 4u * 3u);
    var block = rows;
    if ACCUMULATE {
        block += mat4x4<f32>(unpack(product[at.x]), unpack(product[at.y]), unpack(product[at.z]), unpack(product[at.w]));
    }
    if BIAS {
        let biases = unpack(extra[select(n, m, BIAS_OF_ROWS) / 4u]);
        let columns = mat4x4<f32>(biases, biases, biases, biases);
        if BIAS_OF_ROWS {
            block += transpose(columns);
        } else {
            block += columns;
        }
    }
    if RELU {
        block = rectified(block, block);
    }
    if MASKED {
        block = rectified(block, mat4x4<f32>(unpack(extra[at.x]), unpack(extra[at.y]), unpack(extra[at.z]), unpack(extra[at.w])));
    }
    product[at.x] = pack(block[0]);
    product[at.y] = pack(block[1]);
    product[at.z] = pack(block[2]);
    product[at.w] = pack(block[3]);
}

fn store_four_sums(batch: u32, m: u32, sums: vec4<f32>) {
    if batch >= BATCH || m >= M {
        return;
    }
    let at = batch * M + m;
    var total = sums;
    if ACCUMULATE {
        total += vec4<f32>(row_sums[at], row_sums[at + 1u], row_sums[at + 2u], row_sums[at + 3u]);
    }
    row_sums[at] = total.x;
    row_sums[at + 1u] = total.y;
    row_sums[at + 2u] = total.z;
    row_sums[at + 3u] = total.w;
}

// Stores the sums of eight rows, from the lanes' sums of their own parts.
fn store_sums_of_eight(batch: u32, m: u32, n: u32, own: vec4<f32>) {
    let rows = pass_around(own);
    if n == 0u {
        store_four_sums(batch, m, vec4<f32>(1.0) * rows.upper);
        store_four_sums(batch, m + 4u, vec4<f32>(1.0) * rows.lower);
    }
}

// 32 rows of a tile: blocks of four rows, the columns of a matrix; and the sums of the lane's own
// parts of A, a column per eight rows.
struct Half {
    rows0: mat4x4<f32>,
    rows4: mat4x4<f32>,
    rows8: mat4x4<f32>,
    rows12: mat4x4<f32>,
    rows16: mat4x4<f32>,
    rows20: mat4x4<f32>,
    rows24: mat4x4<f32>,
    rows28: mat4x4<f32>,
    own_sums: mat4x4<f32>,
}

// Adds four of K to the rows from m on. Blocks are transposed, so a product's block is B's times
// A's.
fn multiplied(half: Half, batch: u32, m: u32, k: u32, lane: u32, b_columns: mat4x4<f32>) -> Half {
    let own = mat4x4<f32>(
        own_part(batch, m, k, lane),
        own_part(batch, m + 8u, k, lane),
        own_part(batch, m + 16u, k, lane),
        own_part(batch, m + 24u, k, lane),
    );
    var sums = half;
    let first = pass_around(own[0]);
    sums.rows0 += b_columns * first.upper;
    sums.rows4 += b_columns * first.lower;
    let second = pass_around(own[1]);
    sums.rows8 += b_columns * second.upper;
    sums.rows12 += b_columns * second.lower;
    let third = pass_around(own[2]);
    sums.rows16 += b_columns * third.upper;
    sums.rows20 += b_columns * third.lower;
    let fourth = pass_around(own[3]);
    sums.rows24 += b_columns * fourth.upper;
    sums.rows28 += b_columns * fourth.lower;
    sums.own_sums += own;
    return sums;
}

fn store_half(batch: u32, m: u32, n: u32, half: Half) {
    store_block(batch, m, n, half.rows0);
    store_block(batch, m + 4u, n, half.rows4);
    store_block(batch, m + 8u, n, half.rows8);
    store_block(batch, m + 12u, n, half.rows12);
    store_block(batch, m + 16u, n, half.rows16);
    store_block(batch, m + 20u, n, half.rows20);
    store_block(batch, m + 24u, n, half.rows24);
    store_block(batch, m + 28u, n, half.rows28);
}

fn store_half_sums(batch: u32, m: u32, n: u32, half: Half) {
    store_sums_of_eight(batch, m, n, half.own_sums[0]);
    store_sums_of_eight(batch, m + 8u, n, half.own_sums[1]);
    store_sums_of_eight(batch, m + 16u, n, half.own_sums[2]);
    store_sums_of_eight(batch, m + 24u, n, half.own_sums[3]);
}

struct Tile {
    upper: Half,
    lower: Half, // of a tall tile
}

// Computes and stores the tile at (m, n) of product z.
fn multiply(at: vec3<u32>, lane: u32, is_tall: bool) -> Tile {
    let batch = min(at.z, BATCH - 1u);
    let n = min(at.y, N - 4u);
    // Lanes past the edge load their part of A for the others, if there are others in the subgroup.
    let depth = select(0u, K, subgroupAny(at.z < BATCH && at.y < N));
    var tile = Tile();
    for (var k = 0u; k < depth; k += 4u) {
        let b_columns = b_block(batch, k, n);
        tile.upper = multiplied(tile.upper, at.z, at.x, k, lane, b_columns);
        if is_tall {
            tile.lower = multiplied(tile.lower, at.z, at.x + HALF_M, k, lane, b_columns);
        }
    }
    store_half(at.z, at.x, at.y, tile.upper);
    if is_tall {
        store_half(at.z, at.x + HALF_M, at.y, tile.lower);
    }
    return tile;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gemm_broadcast(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    _ = multiply(tile_of(workgroup, workgroups, lane, HALF_M), subgroup_lane, false);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gemm_broadcast_sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    let at = tile_of(workgroup, workgroups, lane, HALF_M);
    let tile = multiply(at, subgroup_lane, false);
    store_half_sums(at.z, at.x, at.y, tile.upper);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gemm_broadcast_tall(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    _ = multiply(tile_of(workgroup, workgroups, lane, 2u * HALF_M), subgroup_lane, true);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gemm_broadcast_tall_sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    let at = tile_of(workgroup, workgroups, lane, 2u * HALF_M);
    let tile = multiply(at, subgroup_lane, true);
    store_half_sums(at.z, at.x, at.y, tile.upper);
    store_half_sums(at.z, at.x + HALF_M, at.y, tile.lower);
}
