// Softmax cross-entropy against class labels, and its gradient. One invocation takes one row.

override ROWS: u32; // N
override CLASSES: u32; // C
override WORKGROUP_SIZE: u32 = 64;

struct Step {
    offset: u32,
    rows: u32,
    slot: u32,
    learning_rate: f32,
    inverse_rows: f32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>; // (N, C)
@group(0) @binding(1) var<storage, read> labels: array<u32>; // (N)
@group(0) @binding(2) var<storage, read_write> row_loss: array<f32>; // (N)
@group(0) @binding(3) var<storage, read_write> d_logits: array<f32>; // (N, C)
@group(1) @binding(0) var<uniform> this_step: Step;

@compute @workgroup_size(WORKGROUP_SIZE)
fn cross_entropy(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let row = id.x + id.y * workgroups.x * WORKGROUP_SIZE;
    if row >= ROWS {
        return;
    }
    let first = row * CLASSES;
    // The largest logit is subtracted, so that no exponential overflows.
    var largest = logits[first];
    for (var c = 1u; c < CLASSES; c++) {
        largest = max(largest, logits[first + c]);
    }
    var sum = 0.0;
    for (var c = 0u; c < CLASSES; c++) {
        sum += exp(logits[first + c] - largest);
    }
    let is_real = row < this_step.rows;
    for (var c = 0u; c < CLASSES; c++) {
        let error = exp(logits[first + c] - largest) / sum - select(0.0, 1.0, labels[row] == c);
        d_logits[first + c] = select(0.0, error * this_step.inverse_rows, is_real);
    }
    let loss = log(sum) - (logits[first + labels[row]] - largest);
    row_loss[row] = select(0.0, loss, is_real);
}
