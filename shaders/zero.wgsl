// Clears an array, one element per invocation.
//
// Preludes: invocation.

override LEN: u32;

@group(0) @binding(0) var<storage, read_write> values: array<f32>; // (LEN)

@compute @workgroup_size(WORKGROUP_SIZE)
fn zero(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index < LEN {
        values[index] = 0.0;
    }
}
