// Subtracts a channel's mean and multiplies by its factor. One invocation per element.
//
// Preludes: invocation.

override LEN: u32; // N·C·P
override C: u32;
override AREA: u32; // P: pixels of a plane

@group(0) @binding(0) var<storage, read> input: array<f32>; // (N, C, P)
@group(0) @binding(1) var<storage, read> means: array<f32>; // (C)
@group(0) @binding(2) var<storage, read> factors: array<f32>; // (C)
@group(0) @binding(3) var<storage, read_write> output: array<f32>; // (N, C, P)

@compute @workgroup_size(WORKGROUP_SIZE)
fn normalize_channels(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN {
        return;
    }
    let channel = index / AREA % C;
    output[index] = (input[index] - means[channel]) * factors[channel];
}
