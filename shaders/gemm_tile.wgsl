// A matrix product of sizes that are multiples of four, for GPUs. One workgroup computes a tile of
// TILE_M×TILE_N, staging slices of both factors in workgroup memory. Each invocation computes four
// 4×4 blocks of it in registers, half a tile apart, so that neighbouring lanes read neighbouring
// words; it loads the next slice while it multiplies this one.
//
// Preludes: invocation, relu, product, product_fours, tile.

// What an invocation loads of a slice: at most two fours of each factor.
struct Loaded {
    a0: vec4<f32>,
    a1: vec4<f32>,
    b0: vec4<f32>,
    b1: vec4<f32>,
}

// Four of a slice of A, which begins at column `k`: along M if it is stored so, else along K.
fn load_a(tile: vec3<u32>, k: u32, i: u32) -> vec4<f32> {
    let along_m = vec2<u32>(i % (TILE_M / 4u) * 4u, i / (TILE_M / 4u));
    let along_k = vec2<u32>(i / (SLICE / 4u), i % (SLICE / 4u) * 4u);
    let at = vec2<u32>(tile.x, k) + select(along_k, along_m, A_TRANSPOSED);
    if at.x >= M || at.y >= K {
        return vec4<f32>();
    }
    let first = select(tile.z * M * K, 0u, A_SHARED);
    return a[(first + select(at.x * K + at.y, at.y * M + at.x, A_TRANSPOSED)) / 4u];
}

fn load_b(tile: vec3<u32>, k: u32, i: u32) -> vec4<f32> {
    let along_n = vec2<u32>(i % (TILE_N / 4u) * 4u, i / (TILE_N / 4u));
    let along_k = vec2<u32>(i / (SLICE / 4u), i % (SLICE / 4u) * 4u);
    let at = vec2<u32>(tile.y, k) + select(along_n, along_k, B_TRANSPOSED);
    if at.x >= N || at.y >= K {
        return vec4<f32>();
    }
    return b[(tile.z * K * N + select(at.y * N + at.x, at.x * K + at.y, B_TRANSPOSED)) / 4u];
}

// Writes a four of A to the slice from four `first` on.
fn stage_a(first: u32, i: u32, four: vec4<f32>) {
    if A_TRANSPOSED {
        a_slice[first + i / (TILE_M / 4u) * A_PITCH + i % (TILE_M / 4u)] = four;
        return;
    }
    let m = i / (SLICE / 4u);
    let at = first + i % (SLICE / 4u) * 4u * A_PITCH + m / 4u;
    a_slice[at][m % 4u] = four.x;
    a_slice[at + A_PITCH][m % 4u] = four.y;
    a_slice[at + 2u * A_PITCH][m % 4u] = four.z;
    a_slice[at + 3u * A_PITCH][m % 4u] = four.w;
}

fn stage_b(first: u32, i: u32, four: vec4<f32>) {
    if !B_TRANSPOSED {
        b_slice[first + i / (TILE_N / 4u) * B_PITCH + i % (TILE_N / 4u)] = four;
        return;
    }
    let n = i / (SLICE / 4u);
    let at = first + i % (SLICE / 4u) * 4u * B_PITCH + n / 4u;
    b_slice[at][n % 4u] = four.x;
    b_slice[at + B_PITCH][n % 4u] = four.y;
    b_slice[at + 2u * B_PITCH][n % 4u] = four.z;
    b_slice[at + 3u * B_PITCH][n % 4u] = four.w;
}

// The fours of a slice are dealt to the lanes in turn.
fn load(tile: vec3<u32>, k: u32, lane: u32) -> Loaded {
    var loaded = Loaded();
    loaded.a0 = load_a(tile, k, lane);
    loaded.b0 = load_b(tile, k, lane);
    if TILE_M * SLICE / 4u > WORKGROUP_SIZE {
        loaded.a1 = load_a(tile, k, lane + WORKGROUP_SIZE);
    }
    if TILE_N * SLICE / 4u > WORKGROUP_SIZE {
        loaded.b1 = load_b(tile, k, lane + WORKGROUP_SIZE);
    }
    return loaded;
}

fn stage(buffer: u32, lane: u32, loaded: Loaded) {
    let a_first = buffer * SLICE * A_PITCH;
    let b_first = buffer * SLICE * B_PITCH;
    stage_a(a_first, lane, loaded.a0);
    stage_b(b_first, lane, loaded.b0);
    if TILE_M * SLICE / 4u > WORKGROUP_SIZE {
        stage_a(a_first, lane + WORKGROUP_SIZE, loaded.a1);
    }
    if TILE_N * SLICE / 4u > WORKGROUP_SIZE {
        stage_b(b_first, lane + WORKGROUP_SIZE, loaded.b1);
    }
}

// The first row and column, (m, n), of a workgroup's tile, and its product in the batch, z.
fn tile_of(index: u32) -> vec3<u32> {
    let tiles_n = (N + TILE_N - 1u) / TILE_N;
    let tiles_m = (M + TILE_M - 1u) / TILE_M;
    let m = index / tiles_n % tiles_m;
    return vec3<u32>(m * TILE_M, index % tiles_n * TILE_N, index / (tiles_n * tiles_m));
}

// Computes and stores a tile; returns the sum of row `lane` of A's part of it, if `sums_rows`.
fn multiply(tile: vec3<u32>, lane: u32, sums_rows: bool) -> f32 {
    // The invocation's first blocks, in fours.
    let m = lane / (TILE_N / 8u);
    let n = lane % (TILE_N / 8u);
    var sums = Sums();
    var row_sum = 0.0;
    var next = load(tile, 0u, lane);
    for (var k = 0u; k < K; k += SLICE) {
        let buffer = k / SLICE % BUFFERS;
        if BUFFERS == 1u {
            workgroupBarrier();
        }
        stage(buffer, lane, next);
        workgroupBarrier();
        next = load(tile, k + SLICE, lane);
        let a_first = buffer * SLICE * A_PITCH;
        let b_first = buffer * SLICE * B_PITCH;
        sums = add_slice(sums, a_first + m, b_first + n);
        if sums_rows && lane < TILE_M {
            for (var i = 0u; i < SLICE; i++) {
                row_sum += a_slice[a_first + i * A_PITCH + lane / 4u][lane % 4u];
            }
        }
    }
    let row = tile.x + m * 4u;
    let column = tile.y + n * 4u;
    store_block(tile.z, row, column, sums.top_left);
    store_block(tile.z, row, column + TILE_N / 2u, sums.top_right);
    store_block(tile.z, row + TILE_M / 2u, column, sums.bottom_left);
    store_block(tile.z, row + TILE_M / 2u, column + TILE_N / 2u, sums.bottom_right);
    return row_sum;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gemm_tile(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_of(workgroup_index(workgroup, workgroups));
    if tile.z < BATCH {
        multiply(tile, lane, false);
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gemm_tile_sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_of(workgroup_index(workgroup, workgroups));
    if tile.z < BATCH {
        let sum = multiply(tile, lane, tile.y == 0u);
        if tile.y == 0u && lane < TILE_M {
            store_sum(tile.z, tile.x + lane, sum);
        }
    }
}
