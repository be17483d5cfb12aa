// Adam and AdamW over the arena of all parameters: one element per invocation, or four if LEN is a
// multiple of four.
//
// Preludes: invocation, step, loads.

override LEN: u32;
override BETA1: f32;
override BETA2: f32;
override EPS: f32;
override WEIGHT_DECAY: f32;
override DECOUPLED: bool; // AdamW: the decay is not part of the gradient

@group(0) @binding(0) var<storage, read> gradients: array<f32>; // (LEN)
@group(0) @binding(1) var<storage, read_write> parameters: array<f32>; // (LEN)
@group(0) @binding(2) var<storage, read_write> first: array<f32>; // (LEN), mean of the gradients
@group(0) @binding(3) var<storage, read_write> second: array<f32>; // (LEN), mean of their squares

@group(0) @binding(0) var<storage, read> gradients_4: array<Four>; // (LEN)
@group(0) @binding(1) var<storage, read_write> parameters_4: array<Four>; // (LEN)
@group(0) @binding(2) var<storage, read_write> first_4: array<Four>; // (LEN)
@group(0) @binding(3) var<storage, read_write> second_4: array<Four>; // (LEN)

// Of the kernel that only some blocks decay in: 1 if a block does, else 0.
@group(0) @binding(1) var<storage, read> decayed: array<u32>; // (⌈LEN / DECAY_BLOCK⌉)
@group(0) @binding(2) var<storage, read_write> parameters_selective: array<f32>; // (LEN)
@group(0) @binding(3) var<storage, read_write> first_selective: array<f32>; // (LEN)
@group(0) @binding(4) var<storage, read_write> second_selective: array<f32>; // (LEN)

const DECAY_BLOCK: u32 = 64u; // elements of which all decay, or none
const SMALLEST_NORMAL: u32 = 0x00800000u;

struct State {
    parameter: vec4<f32>,
    first: vec4<f32>,
    second: vec4<f32>,
}

// WGSL does not define the accuracy of the root of zero or a subnormal: both count as zero.
fn root(values: vec4<f32>) -> vec4<f32> {
    let magnitude = bitcast<vec4<u32>>(values) & vec4<u32>(0x7fffffffu);
    return select(sqrt(values), vec4<f32>(), magnitude < vec4<u32>(SMALLEST_NORMAL));
}

fn updated(state: State, d_parameter: vec4<f32>, decay: f32) -> State {
    let rate = this_step.learning_rate;
    var decayed = state.parameter;
    var gradient = d_parameter;
    if DECOUPLED {
        decayed *= 1.0 - rate * decay;
    } else {
        gradient += decay * state.parameter;
    }
    let first = BETA1 * state.first + (1.0 - BETA1) * gradient;
    let second = BETA2 * state.second + (1.0 - BETA2) * gradient * gradient;
    let corrections = this_step.scalars;
    let step = rate * corrections.x * first / (root(second) * corrections.y + EPS);
    return State(decayed - step, first, second);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn adam(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN {
        return;
    }
    let state = State(
        vec4<f32>(parameters[index]),
        vec4<f32>(first[index]),
        vec4<f32>(second[index]),
    );
    let after = updated(state, vec4<f32>(gradients[index]), WEIGHT_DECAY);
    parameters[index] = after.parameter.x;
    first[index] = after.first.x;
    second[index] = after.second.x;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn adam_4(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN / 4u {
        return;
    }
    let state = State(
        unpack(parameters_4[index]),
        unpack(first_4[index]),
        unpack(second_4[index]),
    );
    let after = updated(state, unpack(gradients_4[index]), WEIGHT_DECAY);
    parameters_4[index] = pack(after.parameter);
    first_4[index] = pack(after.first);
    second_4[index] = pack(after.second);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn adam_selective(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN {
        return;
    }
    let state = State(
        vec4<f32>(parameters_selective[index]),
        vec4<f32>(first_selective[index]),
        vec4<f32>(second_selective[index]),
    );
    let decay = select(0.0, WEIGHT_DECAY, decayed[index / DECAY_BLOCK] != 0u);
    let after = updated(state, vec4<f32>(gradients[index]), decay);
    parameters_selective[index] = after.parameter.x;
    first_selective[index] = after.first.x;
    second_selective[index] = after.second.x;
}
