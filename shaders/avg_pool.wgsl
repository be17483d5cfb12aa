// The mean of each plane, and its gradient.
//
// Preludes: invocation.

override PLANES: u32; // N·C
override AREA: u32; // H·W
override INVERSE_AREA: f32; // rounded on the host

@group(0) @binding(0) var<storage, read> input: array<f32>; // (N·C, AREA)
@group(0) @binding(1) var<storage, read_write> output: array<f32>; // (N·C)

@group(0) @binding(0) var<storage, read> d_output: array<f32>; // (N·C)
@group(0) @binding(1) var<storage, read_write> d_input: array<f32>; // (N·C, AREA)

// One invocation per plane.
@compute @workgroup_size(WORKGROUP_SIZE)
fn avg_pool_forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let plane = invocation(id, workgroups);
    if plane >= PLANES {
        return;
    }
    var sum = 0.0;
    for (var p = 0u; p < AREA; p++) {
        sum += input[plane * AREA + p];
    }
    output[plane] = sum * INVERSE_AREA;
}

// One invocation per pixel.
@compute @workgroup_size(WORKGROUP_SIZE)
fn avg_pool_backward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= PLANES * AREA {
        return;
    }
    d_input[index] = d_output[index / AREA] * INVERSE_AREA;
}
