// What changes from step to step: `Step` of src/ops/step.rs.

struct Step {
    offset: u32, // where the batch begins in the order of samples
    rows: u32, // of the batch; those after them count for nothing
    slot: u32, // of the tables of metrics
    learning_rate: f32,
    inverse_rows: f32,
    zero: u32, // 0, which no compiler knows
    epoch: u32,
    number: u32, // of training steps before this one, over all epochs, modulo 2³²
    seed: vec2<u32>, // of the run, low word first
    scalars: vec2<f32>, // what the optimizer makes of the step's number
}

@group(1) @binding(0) var<uniform> this_step: Step;
