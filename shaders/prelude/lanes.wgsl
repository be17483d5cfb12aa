// The sum of a value over the lanes of a workgroup, in a fixed order. WORKGROUP_SIZE is a power of
// two.

var<workgroup> lane_values: array<f32, WORKGROUP_SIZE>;

// Returns the same sum in every lane. All lanes must call it.
fn sum_of_lanes(lane: u32, value: f32) -> f32 {
    lane_values[lane] = value;
    // A tree: each round adds the upper half of the lanes to the lower.
    for (var half = WORKGROUP_SIZE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            lane_values[lane] += lane_values[lane + half];
        }
    }
    workgroupBarrier();
    let sum = lane_values[0];
    // No lane may write the next values before all have read the sum.
    workgroupBarrier();
    return sum;
}
