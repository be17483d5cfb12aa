// The sum of a 4×4 tile over the lanes of a workgroup, in a fixed order. WORKGROUP_SIZE is a power
// of two.

var<workgroup> partial: array<mat4x4<f32>, WORKGROUP_SIZE>; // of each lane

// Returns the same sum in every lane. All lanes must call it. A tree: each round adds the upper half
// of the lanes to the lower.
fn all_lanes(own: mat4x4<f32>, lane: u32) -> mat4x4<f32> {
    workgroupBarrier();
    partial[lane] = own;
    for (var half = WORKGROUP_SIZE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            partial[lane] += partial[lane + half];
        }
    }
    workgroupBarrier();
    return partial[0];
}
