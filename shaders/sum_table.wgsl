// Sums what the rows of a step contribute to its slot of a table, by one workgroup in a fixed order.
//
// Preludes: invocation, step.

override ROW_LEN: u32; // values of a row
// WORKGROUP_SIZE: a power of two.

@group(0) @binding(0) var<storage, read> losses: array<f32>; // (N, ROW_LEN)
@group(0) @binding(1) var<storage, read_write> loss_sum: array<f32>; // (slots)

@group(0) @binding(0) var<storage, read> counts: array<u32>; // (N, ROW_LEN)
@group(0) @binding(1) var<storage, read_write> total: array<u32>; // (slots)

var<workgroup> float_parts: array<f32, WORKGROUP_SIZE>;
var<workgroup> count_parts: array<u32, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn sum_losses(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = lane; i < this_step.rows * ROW_LEN; i += WORKGROUP_SIZE) {
        sum += losses[i];
    }
    float_parts[lane] = sum;
    // A tree: each round adds the upper half of the lanes to the lower.
    for (var half = WORKGROUP_SIZE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            float_parts[lane] += float_parts[lane + half];
        }
    }
    if lane == 0u {
        loss_sum[this_step.slot] = float_parts[0];
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn sum_counts(@builtin(local_invocation_index) lane: u32) {
    var sum = 0u;
    for (var i = lane; i < this_step.rows * ROW_LEN; i += WORKGROUP_SIZE) {
        sum += counts[i];
    }
    count_parts[lane] = sum;
    for (var half = WORKGROUP_SIZE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            count_parts[lane] += count_parts[lane + half];
        }
    }
    if lane == 0u {
        total[this_step.slot] = count_parts[0];
    }
}
