// A matrix product of any size. One workgroup computes a 4×4 tile: each lane sums a part of K, and
// the lanes' sums are added through workgroup memory. For small products with a long K.
//
// Preludes: invocation, relu, outer, product, product_tile, tile_lanes.

const TILE: u32 = 4u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn gemm_lanes(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_at(workgroup_index(workgroup, workgroups), TILE);
    var rows = mat4x4<f32>();
    for (var k = lane; k < K; k += WORKGROUP_SIZE) {
        let column = a_column(tile.z, tile.x, k);
        rows += outer(column, b_row(tile.z, k, tile.y));
    }
    rows = all_lanes(rows, lane);
    if lane == 0u {
        store_tile(tile.z, tile.x, tile.y, rows);
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gemm_lanes_sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_at(workgroup_index(workgroup, workgroups), TILE);
    var rows = mat4x4<f32>();
    var sums = vec4<f32>();
    for (var k = lane; k < K; k += WORKGROUP_SIZE) {
        let column = a_column(tile.z, tile.x, k);
        rows += outer(column, b_row(tile.z, k, tile.y));
        sums += column;
    }
    rows = all_lanes(rows, lane);
    sums = all_lanes(mat4x4<f32>(sums, sums, sums, sums), lane)[0];
    if lane == 0u {
        store_tile(tile.z, tile.x, tile.y, rows);
        if tile.y == 0u {
            store_sums(tile.z, tile.x, sums);
        }
    }
}
