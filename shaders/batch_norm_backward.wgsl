// The gradients of batch normalisation with the statistics of the step. With
// x̂ = (x − mean) · inverse_deviation and m elements per channel, summed over these,
//     d_bias = Σ d_y,   d_weight = Σ d_y·x̂,
//     d_x = weight · inverse_deviation · (d_y − d_bias/m − x̂·d_weight/m).
// If RELU, d_y is zero where y is.
//
// Preludes: invocation, step, relu, ones, parts, lanes.
// Or loads and fours, if AREA is a multiple of four.

override ROWS: u32; // N
override RELU: bool;
override ACCUMULATE: bool;
// WORKGROUP_SIZE: a power of two.

@group(0) @binding(0) var<storage, read> x: array<Stored>; // (N, C, AREA)
@group(0) @binding(1) var<storage, read> d_y: array<Stored>; // (N, C, AREA)
@group(0) @binding(2) var<storage, read> y: array<Stored>; // (N, C, AREA), read if RELU
@group(0) @binding(3) var<storage, read> mean: array<f32>; // (C)
@group(0) @binding(4) var<storage, read> inverse_deviation: array<f32>; // (C)

@group(0) @binding(5) var<storage, read_write> part_d_bias: array<f32>; // (N, C, PARTS)
@group(0) @binding(6) var<storage, read_write> part_d_weight: array<f32>; // (N, C, PARTS)

@group(0) @binding(5) var<storage, read> weight: array<f32>; // (C)
@group(0) @binding(6) var<storage, read> sums: array<f32>; // (2, C): Σ d_y, Σ d_y·x̂
@group(0) @binding(7) var<storage, read_write> d_x: array<Stored>; // (N, C, AREA)

@group(0) @binding(0) var<storage, read> d_bias_partials: array<f32>; // (N, C, PARTS), part_d_bias
@group(0) @binding(1) var<storage, read> d_weight_partials: array<f32>; // (N, C, PARTS), part_d_weight
@group(0) @binding(2) var<storage, read_write> sums_of_step: array<f32>; // (2, C)
@group(0) @binding(3) var<storage, read_write> d_weight: array<f32>; // (C)
@group(0) @binding(4) var<storage, read_write> d_bias: array<f32>; // (C)

// d_y, after the gradient of ReLU.
fn gradient(index: u32) -> Floats {
    let whole = load(d_y[index]);
    if RELU {
        return gated(whole, load(y[index]));
    }
    return whole;
}

// One invocation per part.
@compute @workgroup_size(WORKGROUP_SIZE)
fn batch_norm_backward_sums(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= ROWS * CHANNELS * PARTS {
        return;
    }
    let part = index % PARTS;
    let plane = index / PARTS;
    let channel = plane % CHANNELS;
    let begin = (plane * AREA + part * PART_LEN) / AT_ONCE;
    let end = begin + part_size(part) / AT_ONCE;
    var of_bias = Floats();
    var of_weight = Floats();
    for (var i = begin; i < end; i++) {
        let d = gradient(i);
        of_bias += d;
        of_weight += d * (load(x[i]) - mean[channel]);
    }
    part_d_bias[index] = total(of_bias);
    part_d_weight[index] = total(of_weight) * inverse_deviation[channel];
}

// One workgroup per channel.
@compute @workgroup_size(WORKGROUP_SIZE)
fn batch_norm_backward_reduce(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let channel = workgroup_index(workgroup, workgroups);
    if channel >= CHANNELS {
        return;
    }
    var own = vec2<f32>();
    for (var i = lane; i < this_step.rows * PARTS; i += WORKGROUP_SIZE) {
        let at = part_of_channel(channel, i);
        own += vec2<f32>(d_bias_partials[at], d_weight_partials[at]);
    }
    let of_bias = sum_of_lanes(lane, own.x);
    let of_weight = sum_of_lanes(lane, own.y);
    if lane > 0u {
        return;
    }
    sums_of_step[channel] = of_bias;
    sums_of_step[CHANNELS + channel] = of_weight;
    if ACCUMULATE {
        d_bias[channel] += of_bias;
        d_weight[channel] += of_weight;
    } else {
        d_bias[channel] = of_bias;
        d_weight[channel] = of_weight;
    }
}

// AT_ONCE elements per invocation; zero in the padding rows.
@compute @workgroup_size(WORKGROUP_SIZE)
fn batch_norm_backward_input(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    let plane = index * AT_ONCE / AREA;
    if plane >= ROWS * CHANNELS {
        return;
    }
    let channel = plane % CHANNELS;
    let count = f32(this_step.rows * AREA);
    let inverse = inverse_deviation[channel];
    let of_mean = sums[channel] / count;
    let of_deviation = (load(x[index]) - mean[channel]) * inverse * (sums[CHANNELS + channel] / count);
    let result = weight[channel] * inverse * (gradient(index) - of_mean - of_deviation);
    d_x[index] = store(select(Floats(), result, plane / CHANNELS < this_step.rows));
}
