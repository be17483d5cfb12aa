// Normalisation of runs of consecutive elements, y = (x − mean) / √(variance + EPS) · weight + bias:
// the statistics of each run from the moments of its parts (Chan, Golub & LeVeque, 1983), and y.
//
// Preludes: invocation, parts.

// AREA, of the parts of a run: RUN_LEN. CHANNELS: RUNS.
override EPS: f32; // added to variances

override RUNS: u32; // R
override RUN_LEN: u32; // L
override AFFINE: bool; // whether there are weights
override WEIGHTS: u32; // W
override WEIGHT_LEN: u32; // consecutive elements that share a weight

@group(0) @binding(0) var<storage, read> means: array<f32>; // (R, PARTS)
@group(0) @binding(1) var<storage, read> squares: array<f32>; // (R, PARTS), Σ (x − part's mean)²
@group(0) @binding(2) var<storage, read_write> run_mean: array<f32>; // (R)
@group(0) @binding(3) var<storage, read_write> run_inverse: array<f32>; // (R)

@group(0) @binding(0) var<storage, read> x: array<f32>; // (R, L)
@group(0) @binding(1) var<storage, read> mean: array<f32>; // (R)
@group(0) @binding(2) var<storage, read> inverse_deviation: array<f32>; // (R)
@group(0) @binding(3) var<storage, read> weight: array<f32>; // (W), read if AFFINE
@group(0) @binding(4) var<storage, read> bias: array<f32>; // (W), read if AFFINE
@group(0) @binding(5) var<storage, read_write> y: array<f32>; // (R, L)

// One invocation per run.
@compute @workgroup_size(WORKGROUP_SIZE)
fn group_norm_statistics(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let run = invocation(id, workgroups);
    if run >= CHANNELS {
        return;
    }
    let first = run * PARTS;
    let origin = means[first];
    var sum = 0.0;
    for (var part = 0u; part < PARTS; part++) {
        sum += f32(part_size(part)) * (means[first + part] - origin);
    }
    let average = origin + sum / f32(AREA);
    var square = 0.0;
    for (var part = 0u; part < PARTS; part++) {
        let deviation = means[first + part] - average;
        square += squares[first + part] + f32(part_size(part)) * (deviation * deviation);
    }
    run_mean[run] = average;
    run_inverse[run] = inverseSqrt(square / f32(AREA) + EPS);
}

// One invocation per element.
@compute @workgroup_size(WORKGROUP_SIZE)
fn group_norm_forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= RUNS * RUN_LEN {
        return;
    }
    let run = index / RUN_LEN;
    var result = (x[index] - mean[run]) * inverse_deviation[run];
    if AFFINE {
        let own = index / WEIGHT_LEN % WEIGHTS;
        result = result * weight[own] + bias[own];
    }
    y[index] = result;
}
