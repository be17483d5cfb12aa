// A matrix product of any size. One workgroup computes a 4×4 tile: each lane sums a part of K, and
// the lanes' sums are added by subgroups. For small products with a long K.
//
// Preludes: invocation, relu, outer, product, product_tile.

// Naga does not know `enable subgroups;` yet; the functions work without it.

const TILE: u32 = 4u;

var<workgroup> partial: array<mat4x4<f32>, WORKGROUP_SIZE>; // of each subgroup; a subgroup may have one lane

// The sum over all lanes, in every lane: over each subgroup, then over the subgroups in their
// order.
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
    let tile = tile_at(workgroup_index(workgroup, workgroups), TILE);
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
    let tile = tile_at(workgroup_index(workgroup, workgroups), TILE);
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
