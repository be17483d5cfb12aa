// The gradients of group and layer normalisation. With x̂ = (x − mean) · inverse_deviation, and the
// sums over the L elements of a run,
//     d_x = inverse_deviation · (d − Σ d/L − x̂ · Σ (d·x̂)/L),   d = d_y · weight.
// The sums over each area, of elements that share a weight, come first: d_weight and d_bias are
// their sums over the areas of a weight, those of a run their sums times the weights.
//
// Preludes: invocation, parts, lanes.

// AREA: consecutive elements that share a weight. CHANNELS: P, the number of areas.
override RUNS: u32; // R
override RUN_LEN: u32; // L
override AFFINE: bool; // whether there are weights
override WEIGHTS: u32; // W
// WORKGROUP_SIZE: a power of two.

@group(0) @binding(0) var<storage, read> x: array<f32>; // (R, L)
@group(0) @binding(1) var<storage, read> d_y: array<f32>; // (R, L)
@group(0) @binding(2) var<storage, read> mean: array<f32>; // (R)
@group(0) @binding(3) var<storage, read> inverse_deviation: array<f32>; // (R)
@group(0) @binding(4) var<storage, read_write> part_d_bias: array<f32>; // (P, PARTS), Σ d_y
@group(0) @binding(5) var<storage, read_write> part_d_weight: array<f32>; // (P, PARTS), Σ d_y·x̂

@group(0) @binding(4) var<storage, read> weight: array<f32>; // (W), read if AFFINE
@group(0) @binding(5) var<storage, read> sums: array<f32>; // (R, 2): Σ d, Σ d·x̂
@group(0) @binding(6) var<storage, read_write> d_x: array<f32>; // (R, L)

@group(0) @binding(0) var<storage, read> d_bias_partials: array<f32>; // (P, PARTS), part_d_bias
@group(0) @binding(1) var<storage, read> d_weight_partials: array<f32>; // (P, PARTS), part_d_weight
@group(0) @binding(2) var<storage, read> weight_of_sums: array<f32>; // (W), read if AFFINE
@group(0) @binding(3) var<storage, read_write> sums_of_runs: array<f32>; // (R, 2)

// One invocation per part of an area.
@compute @workgroup_size(WORKGROUP_SIZE)
fn group_norm_backward_sums(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= CHANNELS * PARTS {
        return;
    }
    let part = index % PARTS;
    let begin = index / PARTS * AREA + part * PART_LEN;
    let end = begin + part_size(part);
    let run = begin / RUN_LEN;
    var of_bias = 0.0;
    var of_weight = 0.0;
    for (var i = begin; i < end; i++) {
        of_bias += d_y[i];
        of_weight += d_y[i] * (x[i] - mean[run]);
    }
    part_d_bias[index] = of_bias;
    part_d_weight[index] = of_weight * inverse_deviation[run];
}

// One workgroup per run.
@compute @workgroup_size(WORKGROUP_SIZE)
fn group_norm_backward_runs(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let run = workgroup_index(workgroup, workgroups);
    if run >= RUNS {
        return;
    }
    let parts = RUN_LEN / AREA * PARTS;
    var of_bias = 0.0;
    var of_weight = 0.0;
    for (var i = lane; i < parts; i += WORKGROUP_SIZE) {
        let at = run * parts + i;
        var scale = 1.0;
        if AFFINE {
            scale = weight_of_sums[at / PARTS % WEIGHTS];
        }
        of_bias += scale * d_bias_partials[at];
        of_weight += scale * d_weight_partials[at];
    }
    let all_of_bias = sum_of_lanes(lane, of_bias);
    let all_of_weight = sum_of_lanes(lane, of_weight);
    if lane > 0u {
        return;
    }
    sums_of_runs[2u * run] = all_of_bias;
    sums_of_runs[2u * run + 1u] = all_of_weight;
}

// One invocation per element.
@compute @workgroup_size(WORKGROUP_SIZE)
fn group_norm_backward_input(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= RUNS * RUN_LEN {
        return;
    }
    let run = index / RUN_LEN;
    let inverse = inverse_deviation[run];
    let normal = (x[index] - mean[run]) * inverse;
    var gradient = d_y[index];
    if AFFINE {
        gradient *= weight[index / AREA % WEIGHTS];
    }
    let of_mean = sums[2u * run] / f32(RUN_LEN);
    let of_deviation = sums[2u * run + 1u] / f32(RUN_LEN);
    d_x[index] = inverse * (gradient - of_mean - normal * of_deviation);
}
