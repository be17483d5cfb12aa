// A matrix product. One invocation computes a 32×4 or 64×4 tile in registers, of sizes that are
// multiples of four, or a 32×4 tile of others (factors_ones in place of loads and factors_fours).
// The tiles of a workgroup's lanes are side by side, so that they share the rows of A: eight lanes
// each load one of eight rows, and subgroups broadcast them, at almost no cost. Each lane loads its
// own columns of B, once for all rows of its tile. Subgroups have at least eight lanes.
//
// Preludes: invocation, loads, relu, product, factors_fours.

const HALF_M: u32 = 32u; // half the rows of a tall tile
const TILE_N: u32 = 4u;
const FOUR = vec4<u32>(0u, 1u, 2u, 3u);

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
// stored transposed; zero beyond K.
fn own_part(batch: u32, m: u32, k: u32, lane: u32) -> vec4<f32> {
    let first = select(min(batch, BATCH - 1u) * M * K, 0u, A_SHARED);
    if A_TRANSPOSED {
        let block = min(m + lane % 8u / 4u * 4u, last_four(M));
        return a_row_of_k(first, k + lane % 4u, block);
    }
    let row = min(m + lane % 8u, M - 1u);
    return a_at(first + row * K + k, K - k);
}

// Where the last four of a size start.
fn last_four(size: u32) -> u32 {
    return (size - 1u) / 4u * 4u;
}

fn a_row_of_k(first: u32, k: u32, m: u32) -> vec4<f32> {
    let row = a_at(first + min(k, K - 1u) * M + m, M - m);
    return select(vec4<f32>(), row, IS_WHOLE || k < K);
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

// B[k..k+4, n..n+4], zero beyond K: column i of the matrix is row i of the block.
fn b_block(batch: u32, k: u32, n: u32) -> mat4x4<f32> {
    let first = batch * K * N;
    if B_TRANSPOSED {
        let at = first + k + rows_from(n, N) * K;
        return transpose(mat4x4<f32>(b_at(at.x, K - k), b_at(at.y, K - k), b_at(at.z, K - k), b_at(at.w, K - k)));
    }
    let at = first + n + rows_from(k, K) * N;
    return mat4x4<f32>(
        b_at(at.x, N - n),
        select(vec4<f32>(), b_at(at.y, N - n), IS_WHOLE || k + 1u < K),
        select(vec4<f32>(), b_at(at.z, N - n), IS_WHOLE || k + 2u < K),
        select(vec4<f32>(), b_at(at.w, N - n), IS_WHOLE || k + 3u < K),
    );
}

// Four rows from `first` on; the last for all beyond it.
fn rows_from(first: u32, rows: u32) -> vec4<u32> {
    if IS_WHOLE {
        return first + FOUR;
    }
    return min(first + FOUR, vec4<u32>(rows - 1u));
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
    let at = (batch * M + rows_from(m, M)) * N + n;
    let real = N - n;
    var block = rows;
    if ACCUMULATE {
        block += mat4x4<f32>(product_at(at.x, real), product_at(at.y, real), product_at(at.z, real), product_at(at.w, real));
    }
    if BIAS {
        let biases = extra_at(select(n, m, BIAS_OF_ROWS), select(real, M - m, BIAS_OF_ROWS));
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
        block = rectified(block, mat4x4<f32>(extra_at(at.x, real), extra_at(at.y, real), extra_at(at.z, real), extra_at(at.w, real)));
    }
    store_at(at.x, real, block[0]);
    if IS_WHOLE || m + 1u < M {
        store_at(at.y, real, block[1]);
    }
    if IS_WHOLE || m + 2u < M {
        store_at(at.z, real, block[2]);
    }
    if IS_WHOLE || m + 3u < M {
        store_at(at.w, real, block[3]);
    }
}

// Stores the sums of eight rows, from the lanes' sums of their own parts.
fn store_sums_of_eight(batch: u32, m: u32, n: u32, own: vec4<f32>) {
    let rows = pass_around(own);
    if n == 0u {
        store_sums(batch, m, vec4<f32>(1.0) * rows.upper);
        store_sums(batch, m + 4u, vec4<f32>(1.0) * rows.lower);
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
    let n = min(at.y, last_four(N));
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
