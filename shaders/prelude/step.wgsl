// What changes from step to step: `Step` of src/ops/step.rs.

struct Step {
    offset: u32, // where the batch begins in the order of samples
    rows: u32, // of the batch; those after them count for nothing
    slot: u32, // of the tables of metrics
    learning_rate: f32,
    inverse_rows: f32,
    zero: u32, // 0, which no compiler knows
}

@group(1) @binding(0) var<uniform> this_step: Step;
