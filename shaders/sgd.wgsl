// Stochastic gradient descent over the arena of all parameters, one element per
// invocation, or four if LEN is a multiple of four.
//
// Preludes: invocation, step, loads.

override LEN: u32;
override WEIGHT_DECAY: f32;
override MOMENTUM: f32 = 0.0;
override NESTEROV: bool = false;

@group(0) @binding(0) var<storage, read> gradients: array<f32>; // (LEN)
@group(0) @binding(1) var<storage, read_write> parameters: array<f32>; // (LEN)
@group(0) @binding(2) var<storage, read_write> velocity: array<f32>; // (LEN)

@group(0) @binding(0) var<storage, read> gradients_4: array<Four>; // (LEN)
@group(0) @binding(1) var<storage, read_write> parameters_4: array<Four>; // (LEN)

@compute @workgroup_size(WORKGROUP_SIZE)
fn sgd(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN {
        return;
    }
    let parameter = parameters[index];
    let gradient = gradients[index] + WEIGHT_DECAY * parameter;
    parameters[index] = parameter - this_step.learning_rate * gradient;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn sgd_4(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN / 4u {
        return;
    }
    let parameter = unpack(parameters_4[index]);
    let gradient = unpack(gradients_4[index]) + WEIGHT_DECAY * parameter;
    parameters_4[index] = pack(parameter - this_step.learning_rate * gradient);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn sgd_momentum(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN {
        return;
    }
    let parameter = parameters[index];
    let gradient = gradients[index] + WEIGHT_DECAY * parameter;
    let updated = MOMENTUM * velocity[index] + gradient;
    velocity[index] = updated;
    let direction = select(updated, gradient + MOMENTUM * updated, NESTEROV);
    parameters[index] = parameter - this_step.learning_rate * direction;
}
