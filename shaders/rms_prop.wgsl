// RMSprop over the arena of all parameters, one element per invocation.
//
// Preludes: invocation, step.

override LEN: u32;
override ALPHA: f32;
override EPS: f32;
override WEIGHT_DECAY: f32;
override MOMENTUM: f32 = 0.0;

@group(0) @binding(0) var<storage, read> gradients: array<f32>; // (LEN)
@group(0) @binding(1) var<storage, read> decayed: array<u32>; // (⌈LEN / DECAY_BLOCK⌉), 1 if a block decays
@group(0) @binding(2) var<storage, read_write> parameters: array<f32>; // (LEN)
@group(0) @binding(3) var<storage, read_write> square: array<f32>; // (LEN), mean of the gradients' squares
@group(0) @binding(4) var<storage, read_write> mean: array<f32>; // (LEN), of the gradients
@group(0) @binding(4) var<storage, read_write> velocity: array<f32>; // (LEN)
@group(0) @binding(5) var<storage, read_write> velocity_centered: array<f32>; // (LEN)

const DECAY_BLOCK: u32 = 64u; // elements of which all decay, or none
const SMALLEST_NORMAL: u32 = 0x00800000u;

// WGSL does not define the accuracy of the root of zero or a subnormal: both count as zero.
fn root(value: f32) -> f32 {
    let magnitude = bitcast<u32>(value) & 0x7fffffffu;
    return select(sqrt(value), 0.0, magnitude < SMALLEST_NORMAL);
}

fn decayed_gradient(index: u32) -> f32 {
    let decay = select(0.0, WEIGHT_DECAY, decayed[index / DECAY_BLOCK] != 0u);
    return gradients[index] + decay * parameters[index];
}

fn averaged(before: f32, value: f32) -> f32 {
    return ALPHA * before + (1.0 - ALPHA) * value;
}

// The gradient over the root of its mean square, both after this step.
fn scaled(index: u32, gradient: f32) -> f32 {
    let after = averaged(square[index], gradient * gradient);
    square[index] = after;
    return gradient / (root(after) + EPS);
}

// The gradient over its deviation: the mean square less the square of the mean.
fn scaled_centered(index: u32, gradient: f32) -> f32 {
    let after = averaged(square[index], gradient * gradient);
    let mean_after = averaged(mean[index], gradient);
    square[index] = after;
    mean[index] = mean_after;
    return gradient / (root(max(after - mean_after * mean_after, 0.0)) + EPS);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn rms_prop(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN {
        return;
    }
    let direction = scaled(index, decayed_gradient(index));
    parameters[index] -= this_step.learning_rate * direction;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn rms_prop_centered(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN {
        return;
    }
    let direction = scaled_centered(index, decayed_gradient(index));
    parameters[index] -= this_step.learning_rate * direction;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn rms_prop_momentum(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN {
        return;
    }
    let updated = MOMENTUM * velocity[index] + scaled(index, decayed_gradient(index));
    velocity[index] = updated;
    parameters[index] -= this_step.learning_rate * updated;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn rms_prop_centered_momentum(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN {
        return;
    }
    let direction = scaled_centered(index, decayed_gradient(index));
    let updated = MOMENTUM * velocity_centered[index] + direction;
    velocity_centered[index] = updated;
    parameters[index] -= this_step.learning_rate * updated;
}
