// The loss of a step and its count of right answers, by one workgroup in a fixed order.

override CLASSES: u32; // C
override WORKGROUP_SIZE: u32 = 64; // a power of two

struct Step {
    offset: u32,
    rows: u32,
    slot: u32,
    learning_rate: f32,
    inverse_rows: f32,
}

@group(0) @binding(0) var<storage, read> row_loss: array<f32>; // (N)
@group(0) @binding(1) var<storage, read> logits: array<u32>; // (N, C), the bits of f32
@group(0) @binding(2) var<storage, read> labels: array<u32>; // (N)
@group(0) @binding(3) var<storage, read_write> loss_sum: array<f32>; // (slots)
@group(0) @binding(4) var<storage, read_write> correct: array<u32>; // (slots)
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

fn first_largest(row: u32) -> u32 {
    var best = 0u;
    var best_key = ordered_key(logits[row * CLASSES]);
    for (var c = 1u; c < CLASSES; c++) {
        let key = ordered_key(logits[row * CLASSES + c]);
        if key > best_key {
            best = c;
            best_key = key;
        }
    }
    return best;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn metrics(@builtin(local_invocation_index) lane: u32) {
    var loss = 0.0;
    var count = 0u;
    for (var row = lane; row < this_step.rows; row += WORKGROUP_SIZE) {
        loss += row_loss[row];
        count += select(0u, 1u, first_largest(row) == labels[row]);
    }
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
