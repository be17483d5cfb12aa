// Lion over the arena of all parameters, one element per invocation.
//
// Preludes: invocation, step.

override LEN: u32;
override BETA1: f32;
override BETA2: f32;
override WEIGHT_DECAY: f32;

@group(0) @binding(0) var<storage, read> gradients: array<f32>; // (LEN)
@group(0) @binding(1) var<storage, read> decayed: array<u32>; // (⌈LEN / DECAY_BLOCK⌉), 1 if a block decays
@group(0) @binding(2) var<storage, read_write> parameters: array<f32>; // (LEN)
@group(0) @binding(3) var<storage, read_write> momentum: array<f32>; // (LEN), mean of the gradients

const DECAY_BLOCK: u32 = 64u; // elements of which all decay, or none

@compute @workgroup_size(WORKGROUP_SIZE)
fn lion(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN {
        return;
    }
    let rate = this_step.learning_rate;
    let decay = select(0.0, WEIGHT_DECAY, decayed[index / DECAY_BLOCK] != 0u);
    let gradient = gradients[index];
    let before = momentum[index];
    let mixed = BETA1 * before + (1.0 - BETA1) * gradient;
    // The sign of NaN is 0 on some adapters: a parameter would never change again, and nothing show it.
    let is_nan = (bitcast<u32>(mixed) & 0x7fffffffu) > 0x7f800000u;
    let direction = select(sign(mixed), mixed, is_nan);
    momentum[index] = BETA2 * before + (1.0 - BETA2) * gradient;
    parameters[index] = parameters[index] * (1.0 - rate * decay) - rate * direction;
}
