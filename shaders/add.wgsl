// The sum of two arrays, with or without ReLU: one element per invocation, or four if LEN is a
// multiple of four.
//
// Preludes: invocation, loads, relu.

override LEN: u32;
override RELU: bool;

@group(0) @binding(0) var<storage, read> a: array<f32>; // (LEN)
@group(0) @binding(1) var<storage, read> b: array<f32>; // (LEN)
@group(0) @binding(2) var<storage, read_write> sum: array<f32>; // (LEN)

@group(0) @binding(0) var<storage, read> a_4: array<Four>; // (LEN)
@group(0) @binding(1) var<storage, read> b_4: array<Four>; // (LEN)
@group(0) @binding(2) var<storage, read_write> sum_4: array<Four>; // (LEN)

@compute @workgroup_size(WORKGROUP_SIZE)
fn add(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN {
        return;
    }
    let total = a[index] + b[index];
    sum[index] = select(0.0, total, !RELU || passes(total));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn add_4(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN / 4u {
        return;
    }
    let total = unpack(a_4[index]) + unpack(b_4[index]);
    sum_4[index] = pack(select(vec4<f32>(), total, vec4<bool>(!RELU) | passes_four(total)));
}
