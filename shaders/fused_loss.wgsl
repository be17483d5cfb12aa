// The loss of each row, its gradient, and the step's metrics, by one workgroup in a fixed order. A
// lane takes every WORKGROUP_SIZE-th row. With GATHERED, labels are read directly from the data
// set.
//
// Preludes: invocation, step, order, logits.

override ROWS: u32; // N
override SCALE: f32; // 2/C for the mean over all elements, 2 for the sum over classes
override GATHERED: bool;
// WORKGROUP_SIZE: a power of two.

@group(0) @binding(0) var<storage, read> logits: array<u32>; // (N, C), the bits of f32
@group(0) @binding(1) var<storage, read> labels: array<u32>; // (N); GATHERED: (samples) bytes, four to a word
@group(0) @binding(2) var<storage, read> order: array<u32>; // (samples), read if GATHERED
@group(0) @binding(3) var<storage, read_write> d_logits: array<u32>; // (N, C), the bits of f32
@group(0) @binding(4) var<storage, read_write> loss_sum: array<f32>; // (slots)
@group(0) @binding(5) var<storage, read_write> correct: array<u32>; // (slots)

var<workgroup> losses: array<f32, WORKGROUP_SIZE>;
var<workgroup> counts: array<u32, WORKGROUP_SIZE>;

fn label_of(row: u32) -> u32 {
    if !GATHERED {
        return labels[row];
    }
    let sample = order[this_step.offset + row];
    return (labels[sample / 4u] >> (sample % 4u * 8u)) & 0xffu;
}

// 1 if the first largest logit of the row is the label's, else 0.
fn passes(row: u32, label: u32) -> u32 {
    return select(0u, 1u, first_largest(row) == label);
}

// Adds up the lanes' results and fills the step's slot.
fn finish(lane: u32, loss: f32, count: u32) {
    losses[lane] = loss;
    counts[lane] = count;
    // A tree: each round adds the upper half of the lanes to the lower.
    for (var half = WORKGROUP_SIZE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            losses[lane] += losses[lane + half];
            counts[lane] += counts[lane + half];
        }
    }
    if lane == 0u {
        loss_sum[this_step.slot] = losses[0];
        correct[this_step.slot] = counts[0];
    }
}

// Padding rows have no gradient.
fn clear_rest(lane: u32) {
    for (var i = this_step.rows * CLASSES + lane; i < ROWS * CLASSES; i += WORKGROUP_SIZE) {
        d_logits[i] = 0u;
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn mse_metrics(@builtin(local_invocation_index) lane: u32) {
    var loss = 0.0;
    var count = 0u;
    for (var row = lane; row < this_step.rows; row += WORKGROUP_SIZE) {
        let label = label_of(row);
        for (var c = 0u; c < CLASSES; c++) {
            let index = row * CLASSES + c;
            let error = bitcast<f32>(logits[index]) - select(0.0, 1.0, label == c);
            loss += error * error;
            d_logits[index] = bitcast<u32>(error * (SCALE * this_step.inverse_rows));
        }
        count += passes(row, label);
    }
    clear_rest(lane);
    finish(lane, loss, count);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn cross_entropy_metrics(@builtin(local_invocation_index) lane: u32) {
    var loss = 0.0;
    var count = 0u;
    for (var row = lane; row < this_step.rows; row += WORKGROUP_SIZE) {
        let first = row * CLASSES;
        let label = label_of(row);
        let found = softmax(first);
        for (var c = 0u; c < CLASSES; c++) {
            let share = exponential(logits[first + c], found.largest) / found.sum;
            let error = share - select(0.0, 1.0, label == c);
            let bits = bitcast<u32>(error * (SCALE * this_step.inverse_rows));
            d_logits[first + c] = select(NAN, bits, found.is_number);
        }
        loss += bitcast<f32>(loss_of(found, logits[first + label]));
        count += passes(row, label);
    }
    clear_rest(lane);
    finish(lane, loss, count);
}
