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

@group(0) @binding(0) var<storage, read> logits: array<u32>; // (N, C), the bits of f32
@group(0) @binding(1) var<storage, read> labels: array<u32>; // (N)
@group(0) @binding(2) var<storage, read_write> row_loss: array<u32>; // (N), the bits of f32
@group(0) @binding(3) var<storage, read_write> d_logits: array<u32>; // (N, C), the bits of f32
@group(1) @binding(0) var<uniform> this_step: Step;

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
    let found = softmax(first);
    let is_real = row < this_step.rows;
    for (var c = 0u; c < CLASSES; c++) {
        let share = exponential(logits[first + c], found.largest) / found.sum;
        let error = (share - select(0.0, 1.0, labels[row] == c)) * this_step.inverse_rows;
        let bits = select(NAN, bitcast<u32>(error), found.is_number);
        d_logits[first + c] = select(0u, bits, is_real);
    }
    row_loss[row] = select(0u, loss_of(found, logits[first + labels[row]]), is_real);
}
