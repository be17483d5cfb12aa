// A matrix product of any size. One invocation computes a 4×4 tile in registers: 8 loads feed 16
// multiply-adds.
//
// Preludes: invocation, relu, outer, product, product_tile.

const TILE: u32 = 4u;

fn multiply(tile: vec3<u32>) {
    var rows = mat4x4<f32>();
    for (var k = 0u; k < K; k++) {
        rows += outer(a_column(tile.z, tile.x, k), b_row(tile.z, k, tile.y));
    }
    store_tile(tile.z, tile.x, tile.y, rows);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gemm_4x4(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let tile = tile_at(invocation(id, workgroups), TILE);
    if tile.z < BATCH {
        multiply(tile);
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gemm_4x4_sums(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let tile = tile_at(invocation(id, workgroups), TILE);
    if tile.z >= BATCH {
        return;
    }
    multiply(tile);
    if tile.y == 0u {
        var sums = vec4<f32>();
        for (var k = 0u; k < K; k++) {
            sums += a_column(tile.z, tile.x, k);
        }
        store_sums(tile.z, tile.x, sums);
    }
}
