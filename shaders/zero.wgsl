// Clears an array, one element an invocation.

override LEN: u32;
override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read_write> values: array<f32>; // (LEN)

@compute @workgroup_size(WORKGROUP_SIZE)
fn zero(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = id.x + id.y * workgroups.x * WORKGROUP_SIZE;
    if index < LEN {
        values[index] = 0.0;
    }
}
