// Means and variances of the channels of x: first of each part of a plane, then of all parts
// together (Chan, Golub & LeVeque, 1983). Deviations are taken from a value of the channel and then
// from the mean, to limit cancellation if a mean is large.
//
// Preludes: invocation, step, relu, ones, parts, lanes.
// Or loads and fours, if AREA is a multiple of four.

override ROWS: u32; // N
override EPS: f32; // added to variances
override MOMENTUM: f32; // the weight of the step in the running statistics
// WORKGROUP_SIZE: a power of two.

@group(0) @binding(0) var<storage, read> x: array<Stored>; // (N, C, AREA)
@group(0) @binding(1) var<storage, read_write> part_means: array<f32>; // (N, C, PARTS)
@group(0) @binding(2) var<storage, read_write> part_squares: array<f32>; // (N, C, PARTS), Σ (x − part's mean)²

@group(0) @binding(0) var<storage, read> means: array<f32>; // (N, C, PARTS), part_means
@group(0) @binding(1) var<storage, read> squares: array<f32>; // (N, C, PARTS), part_squares
@group(0) @binding(2) var<storage, read_write> mean: array<f32>; // (C)
@group(0) @binding(3) var<storage, read_write> inverse_deviation: array<f32>; // (C)
@group(0) @binding(4) var<storage, read_write> running_mean: array<f32>; // (C)
@group(0) @binding(5) var<storage, read_write> running_var: array<f32>; // (C)
@group(0) @binding(6) var<storage, read_write> batches: array<u32>; // (1)

// One invocation per part.
@compute @workgroup_size(WORKGROUP_SIZE)
fn batch_norm_moments(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= ROWS * CHANNELS * PARTS {
        return;
    }
    let part = index % PARTS;
    let size = part_size(part);
    let begin = (index / PARTS * AREA + part * PART_LEN) / AT_ONCE;
    let end = begin + size / AT_ONCE;
    let origin = first(load(x[begin]));
    var sum = Floats();
    for (var i = begin; i < end; i++) {
        sum += load(x[i]) - origin;
    }
    let average = origin + total(sum) / f32(size);
    var square = Floats();
    for (var i = begin; i < end; i++) {
        let deviation = load(x[i]) - average;
        square += deviation * deviation;
    }
    part_means[index] = average;
    part_squares[index] = total(square);
}

// One workgroup per channel.
@compute @workgroup_size(WORKGROUP_SIZE)
fn batch_norm_statistics(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let channel = workgroup_index(workgroup, workgroups);
    if channel >= CHANNELS {
        return;
    }
    let parts = this_step.rows * PARTS;
    let count = this_step.rows * AREA;
    let origin = means[part_of_channel(channel, 0u)];
    var sum = 0.0;
    for (var i = lane; i < parts; i += WORKGROUP_SIZE) {
        let at = part_of_channel(channel, i);
        sum += f32(part_size(i % PARTS)) * (means[at] - origin);
    }
    let average = origin + sum_of_lanes(lane, sum) / f32(count);
    var square = 0.0;
    for (var i = lane; i < parts; i += WORKGROUP_SIZE) {
        let at = part_of_channel(channel, i);
        let deviation = means[at] - average;
        square += squares[at] + f32(part_size(i % PARTS)) * (deviation * deviation);
    }
    let all_squares = sum_of_lanes(lane, square);
    if lane > 0u {
        return;
    }
    mean[channel] = average;
    inverse_deviation[channel] = inverseSqrt(all_squares / f32(count) + EPS);
    running_mean[channel] = (1.0 - MOMENTUM) * running_mean[channel] + MOMENTUM * average;
    // A single value has no unbiased variance.
    if count > 1u {
        let unbiased = all_squares / f32(count - 1u);
        running_var[channel] = (1.0 - MOMENTUM) * running_var[channel] + MOMENTUM * unbiased;
    }
    if channel == 0u {
        batches[0] += 1u;
    }
}
