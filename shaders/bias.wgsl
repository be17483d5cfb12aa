// Adds a bias to each channel; its gradient.
//
// Preludes: invocation.

override ROWS: u32; // N·C
override CHANNELS: u32 = 1u; // C
override AREA: u32; // H·W, or 1 after a Linear layer

@group(0) @binding(0) var<storage, read> input: array<f32>; // (N, C, AREA)
@group(0) @binding(1) var<storage, read> bias: array<f32>; // (C)
@group(0) @binding(2) var<storage, read_write> output: array<f32>; // (N, C, AREA)

@group(0) @binding(0) var<storage, read> d_output: array<f32>; // (N, C, AREA)
@group(0) @binding(1) var<storage, read_write> d_bias: array<f32>; // (N, C)

// One invocation per element.
@compute @workgroup_size(WORKGROUP_SIZE)
fn bias_forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= ROWS * AREA {
        return;
    }
    output[index] = input[index] + bias[index / AREA % CHANNELS];
}

// One invocation sums one channel of one image.
@compute @workgroup_size(WORKGROUP_SIZE)
fn bias_backward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let row = invocation(id, workgroups);
    if row >= ROWS {
        return;
    }
    var sum = 0.0;
    for (var p = 0u; p < AREA; p++) {
        sum += d_output[row * AREA + p];
    }
    d_bias[row] = sum;
}
