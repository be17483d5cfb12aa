// max(0, x) and its gradient, one element per invocation.
//
// Preludes: invocation, relu.

override LEN: u32;

@group(0) @binding(0) var<storage, read> input: array<u32>; // any shape, the bits of f32
@group(0) @binding(1) var<storage, read_write> output: array<u32>; // as input

@group(0) @binding(0) var<storage, read> activated: array<u32>; // forward's output
@group(0) @binding(1) var<storage, read> d_output: array<u32>; // as activated
@group(0) @binding(2) var<storage, read_write> d_input: array<u32>; // as activated

@compute @workgroup_size(WORKGROUP_SIZE)
fn relu_forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN {
        return;
    }
    let bits = input[index];
    output[index] = select(0u, bits, passes_bits(bits));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn relu_backward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN {
        return;
    }
    d_input[index] = select(0u, d_output[index], passes_bits(activated[index]));
}
