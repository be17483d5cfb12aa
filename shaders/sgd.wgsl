// Stochastic gradient descent over the arena of all parameters, one element per
// invocation, or four if LEN is a multiple of four.
//
// Preludes: invocation, step, loads.

override LEN: u32;
override WEIGHT_DECAY: f32;
override MOMENTUM: f32 = 0.0;
override NESTEROV: bool = false;

const DECAY_BLOCK: u32 = 64u; // elements of which all decay, or none

@group(0) @binding(0) var<storage, read> gradients: array<f32>; // (LEN)
@group(0) @binding(1) var<storage, read_write> parameters: array<f32>; // (LEN)
@group(0) @binding(2) var<storage, read_write> velocity: array<f32>; // (LEN)

@group(0) @binding(0) var<storage, read> gradients_4: array<Four>; // (LEN)
@group(0) @binding(1) var<storage, read_write> parameters_4: array<Four>; // (LEN)

// Of the kernels that only some blocks decay in: 1 if a block does, else 0.
@group(0) @binding(1) var<storage, read> decayed: array<u32>; // (⌈LEN / DECAY_BLOCK⌉)
@group(0) @binding(2) var<storage, read_write> parameters_selective: array<f32>; // (LEN)
@group(0) @binding(3) var<storage, read_write> velocity_selective: array<f32>; // (LEN)

fn decay_of(index: u32) -> f32 {
    return select(0.0, WEIGHT_DECAY, decayed[index / DECAY_BLOCK] != 0u);
}

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

@compute @workgroup_size(WORKGROUP_SIZE)
fn sgd_selective(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN {
        return;
    }
    let parameter = parameters_selective[index];
    let gradient = gradients[index] + decay_of(index) * parameter;
    parameters_selective[index] = parameter - this_step.learning_rate * gradient;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn sgd_momentum_selective(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN {
        return;
    }
    let parameter = parameters_selective[index];
    let gradient = gradients[index] + decay_of(index) * parameter;
    let updated = MOMENTUM * velocity_selective[index] + gradient;
    velocity_selective[index] = updated;
    let direction = select(updated, gradient + MOMENTUM * updated, NESTEROV);
    parameters_selective[index] = parameter - this_step.learning_rate * direction;
}
