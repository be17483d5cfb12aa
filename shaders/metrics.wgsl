// The loss of a step and its number of correct predictions, by one workgroup in a fixed order.
//
// Preludes: invocation, step, order, logits.

// WORKGROUP_SIZE: a power of two.

@group(0) @binding(0) var<storage, read> row_loss: array<f32>; // (N)
@group(0) @binding(1) var<storage, read> logits: array<u32>; // (N, C), the bits of f32
@group(0) @binding(2) var<storage, read> labels: array<u32>; // (N)
@group(0) @binding(3) var<storage, read_write> loss_sum: array<f32>; // (slots)
@group(0) @binding(4) var<storage, read_write> correct: array<u32>; // (slots)

var<workgroup> losses: array<f32, WORKGROUP_SIZE>;
var<workgroup> counts: array<u32, WORKGROUP_SIZE>;

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
