// The loss of each row, its gradient, and the step's metrics, by one workgroup in a fixed order. A lane
// takes every WORKGROUP_SIZE-th row. GATHERED, the labels are read where they lie in the data set.

override ROWS: u32; // N
override CLASSES: u32; // C
override SCALE: f32; // 2/C for the mean over all elements, 2 for the sum over classes
override GATHERED: bool;
override WORKGROUP_SIZE: u32 = 64; // a power of two

struct Step {
    offset: u32,
    rows: u32,
    slot: u32,
    learning_rate: f32,
    inverse_rows: f32,
}

@group(0) @binding(0) var<storage, read> logits: array<u32>; // (N, C), the bits of f32
@group(0) @binding(1) var<storage, read> labels: array<u32>; // (N); GATHERED: (samples) bytes, four to a word
@group(0) @binding(2) var<storage, read> order: array<u32>; // (samples), read if GATHERED
@group(0) @binding(3) var<storage, read_write> d_logits: array<u32>; // (N, C), the bits of f32
@group(0) @binding(4) var<storage, read_write> loss_sum: array<f32>; // (slots)
@group(0) @binding(5) var<storage, read_write> correct: array<u32>; // (slots)
@group(1) @binding(0) var<uniform> this_step: Step;

var<workgroup> losses: array<f32, WORKGROUP_SIZE>;
var<workgroup> counts: array<u32, WORKGROUP_SIZE>;

// Orders floats as integers: numbers by value, both zeros alike, NaN above all. WGSL may flush
// subnormals and assume that no NaN occurs, so floats are not compared as floats.
fn ordered_key(bits: u32) -> u32 {
    let magnitude = bits & 0x7fffffffu;
    if magnitude > 0x7f800000u {
        return 0xffffffffu;
    }
    if bits == magnitude || magnitude == 0u {
        return magnitude | 0x80000000u;
    }
    return ~bits;
}

const NAN: u32 = 0x7fc00000u;
const INFINITY: u32 = 0x7f800000u;
const NEGATIVE_INFINITY: u32 = 0xff800000u;

// What softmax of a row needs. WGSL may assume that there is neither NaN nor infinity, so both are looked
// for, and written, as bits.
struct Softmax {
    largest: f32,
    sum: f32, // Σ exp(logit − largest)
    is_number: bool, // no logit is NaN or +∞, and one is not −∞
}

// exp(logit − largest), where the largest is finite.
fn exponential(bits: u32, largest: f32) -> f32 {
    let shifted = bitcast<f32>(bits) - largest;
    let is_zero = bits == NEGATIVE_INFINITY || bitcast<u32>(shifted) == NEGATIVE_INFINITY;
    return select(exp(shifted), 0.0, is_zero);
}

fn softmax(first: u32) -> Softmax {
    // The largest logit is subtracted, so that no exponential overflows.
    var largest = logits[first];
    for (var c = 1u; c < CLASSES; c++) {
        let bits = logits[first + c];
        if ordered_key(bits) > ordered_key(largest) {
            largest = bits;
        }
    }
    let magnitude = largest & 0x7fffffffu;
    var sum = 0.0;
    for (var c = 0u; c < CLASSES; c++) {
        sum += exponential(logits[first + c], bitcast<f32>(largest));
    }
    return Softmax(bitcast<f32>(largest), sum, magnitude < INFINITY);
}

// The bits of −log softmax of the label's logit.
fn loss_of(row: Softmax, logit: u32) -> u32 {
    let loss = log(row.sum) - (bitcast<f32>(logit) - row.largest);
    let bits = select(bitcast<u32>(loss), INFINITY, logit == NEGATIVE_INFINITY);
    return select(NAN, bits, row.is_number);
}

fn label_of(row: u32) -> u32 {
    if !GATHERED {
        return labels[row];
    }
    let sample = order[this_step.offset + row];
    return (labels[sample / 4u] >> (sample % 4u * 8u)) & 0xffu;
}

// 1 where the first largest logit of the row is the label's, else 0.
fn is_right(row: u32, label: u32) -> u32 {
    let first = row * CLASSES;
    var best = 0u;
    var best_key = ordered_key(logits[first]);
    for (var c = 1u; c < CLASSES; c++) {
        let key = ordered_key(logits[first + c]);
        if key > best_key {
            best = c;
            best_key = key;
        }
    }
    return select(0u, 1u, best == label);
}

// Adds up what the lanes found and fills the step's slot.
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

// Rows beyond the batch have no gradient.
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
        count += is_right(row, label);
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
        count += is_right(row, label);
    }
    clear_rest(lane);
    finish(lane, loss, count);
}
