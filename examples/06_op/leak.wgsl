// Passes values where the gate is above zero, and multiplies the others by a slope; one element per
// invocation.
//
// Preludes, which precede this file: invocation, relu.

override LEN: u32;
override SLOPE: f32;

@group(0) @binding(0) var<storage, read> gate: array<u32>; // any shape, the bits of f32
@group(0) @binding(1) var<storage, read> values: array<f32>; // as gate
@group(0) @binding(2) var<storage, read_write> passed: array<f32>; // as gate

@compute @workgroup_size(WORKGROUP_SIZE)
fn leak(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index < LEN {
        let value = values[index];
        passed[index] = select(SLOPE * value, value, passes_bits(gate[index]));
    }
}
