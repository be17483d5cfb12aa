// Batch normalisation, y = (x − mean) / √(variance + EPS) · weight + bias per channel, followed by
// ReLU if RELU. AT_ONCE elements per invocation.
//
// Preludes: invocation, step, relu, ones.
// Or loads and fours, if AREA is a multiple of four.

override ROWS: u32; // N
override CHANNELS: u32; // C
override AREA: u32; // H·W, or 1
override EPS: f32;
override RELU: bool;

@group(0) @binding(0) var<storage, read> x: array<Stored>; // (N, C, AREA)
@group(0) @binding(1) var<storage, read> mean: array<f32>; // (C)
@group(0) @binding(2) var<storage, read> inverse_deviation: array<f32>; // (C)
@group(0) @binding(2) var<storage, read> variance: array<f32>; // (C)
@group(0) @binding(3) var<storage, read> weight: array<f32>; // (C)
@group(0) @binding(4) var<storage, read> bias: array<f32>; // (C)
@group(0) @binding(5) var<storage, read_write> y: array<Stored>; // (N, C, AREA)

// Elements of y; `inverse` is one over the standard deviation.
fn normalised(values: Floats, channel: u32, inverse: f32) -> Floats {
    let result = (values - mean[channel]) * inverse * weight[channel] + bias[channel];
    if RELU {
        return gated(result, result);
    }
    return result;
}

// With the statistics of the step's rows; zero in the padding rows.
@compute @workgroup_size(WORKGROUP_SIZE)
fn batch_norm_forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    let plane = index * AT_ONCE / AREA;
    if plane >= ROWS * CHANNELS {
        return;
    }
    let channel = plane % CHANNELS;
    let result = normalised(load(x[index]), channel, inverse_deviation[channel]);
    y[index] = store(select(Floats(), result, plane / CHANNELS < this_step.rows));
}

// With running statistics.
@compute @workgroup_size(WORKGROUP_SIZE)
fn batch_norm_infer(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    let plane = index * AT_ONCE / AREA;
    if plane >= ROWS * CHANNELS {
        return;
    }
    let channel = plane % CHANNELS;
    let inverse = inverseSqrt(variance[channel] + EPS);
    y[index] = store(normalised(load(x[index]), channel, inverse));
}
