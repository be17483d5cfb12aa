// The moving average of the parameters, over their arena: one element per invocation.
//
// Preludes: invocation, step.

override LEN: u32;
override DECAY: f32;

@group(0) @binding(0) var<storage, read> parameters: array<f32>; // (LEN)
@group(0) @binding(1) var<storage, read_write> average: array<f32>; // (LEN)

@compute @workgroup_size(WORKGROUP_SIZE)
fn average_parameters(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN {
        return;
    }
    let parameter = parameters[index];
    if this_step.update == 0u {
        average[index] = parameter;
    } else {
        average[index] = DECAY * average[index] + (1.0 - DECAY) * parameter;
    }
}
