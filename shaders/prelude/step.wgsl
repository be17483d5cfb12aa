// The data of one step: `Step` of src/ops/spec/step.rs.

struct Step {
    offset: u32, // where the batch begins in the order of samples
    rows: u32, // real rows of the batch; the rest are padding
    slot: u32, // index into the tables of metrics
    learning_rate: f32,
    inverse_rows: f32, // 1 over the rows of the batch that the step's is a part of
    zero: u32, // 0, unknown at compile time
    epoch: u32,
    number: u32, // training steps before this one, over all epochs, modulo 2³²
    seed: vec2<u32>, // the run's seed, low word first
    scalars: vec2<f32>, // the optimizer's functions of the step's number
    augments: u32, // 1 if images are changed at random, else 0
    mix: u32, // the share of a row's own image, in 256ths, beside the next row's
    updates: u32, // 1 if an update follows, else 0
    update: u32, // updates before the step's, modulo 2³²
}

@group(1) @binding(0) var<uniform> this_step: Step;
