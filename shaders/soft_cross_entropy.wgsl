// Softmax cross-entropy against class labels or probabilities, with class weights and label
// smoothing, and its gradient. One invocation per row, or per pixel of a row.
//
// Preludes: invocation, step, order, logits.

override ROWS: u32; // N
override AREA: u32; // P: pixels of a row, and the distance between the logits of one
override HARD: bool; // whether the targets are labels
override SMOOTHING: f32; // the share of the target that is spread over all classes
override SCALE: f32; // 1/P for the mean over the pixels

@group(0) @binding(0) var<storage, read> logits: array<u32>; // (N, C, P), the bits of f32
@group(0) @binding(1) var<storage, read> targets: array<u32>; // HARD: (N, P); else (N, C, P), the bits of f32
@group(0) @binding(2) var<storage, read> weights: array<f32>; // (C)
@group(0) @binding(3) var<storage, read_write> losses: array<u32>; // (N, P), the bits of f32
@group(0) @binding(4) var<storage, read_write> correct: array<u32>; // (N, P), 0 or 1
@group(0) @binding(5) var<storage, read_write> d_logits: array<u32>; // (N, C, P), the bits of f32

// The class weight times the smoothed target of a class.
fn share_of(at: u32, c: u32, label: u32) -> f32 {
    var target_share = 0.0;
    if HARD {
        target_share = select(0.0, 1.0, c == label);
    } else {
        target_share = bitcast<f32>(targets[at]);
    }
    return weights[c] * (target_share * (1.0 - SMOOTHING) + SMOOTHING / f32(CLASSES));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn soft_cross_entropy(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    let row = index / AREA;
    if row >= ROWS {
        return;
    }
    let first = row * CLASSES * AREA + index % AREA;
    if row >= this_step.rows {
        for (var c = 0u; c < CLASSES; c++) {
            d_logits[first + c * AREA] = 0u;
        }
        losses[index] = 0u;
        correct[index] = 0u;
        return;
    }
    var label = 0u;
    if HARD {
        label = targets[index];
    }
    var best = 0u;
    var wanted = 0u;
    var all_shares = 0.0;
    for (var c = 0u; c < CLASSES; c++) {
        let at = first + c * AREA;
        if ordered_key(logits[at]) > ordered_key(logits[first + best * AREA]) {
            best = c;
        }
        if !HARD && ordered_key(targets[at]) > ordered_key(targets[first + wanted * AREA]) {
            wanted = c;
        }
        all_shares += share_of(at, c, label);
    }
    let found = softmax(first);
    let log_sum = log(found.sum);
    var loss = 0.0;
    var is_infinite = false;
    for (var c = 0u; c < CLASSES; c++) {
        let at = first + c * AREA;
        let share = share_of(at, c, label);
        if logits[at] != NEGATIVE_INFINITY {
            loss += share * (log_sum - (bitcast<f32>(logits[at]) - found.largest));
        } else {
            is_infinite = is_infinite || share > 0.0;
        }
        let probability = exponential(logits[at], found.largest) / found.sum;
        let error = (probability * all_shares - share) * (SCALE * this_step.inverse_rows);
        d_logits[at] = select(NAN, bitcast<u32>(error), found.is_number);
    }
    let bits = select(bitcast<u32>(loss), INFINITY, is_infinite);
    losses[index] = select(NAN, bits, found.is_number);
    correct[index] = select(0u, 1u, best == select(wanted, label, HARD));
}
