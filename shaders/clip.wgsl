// Clips the gradients in their arena: by their norm, or each value.
//
// Preludes: invocation.

override LEN: u32;
override PARTS: u32 = 1; // sums of squares
override LIMIT: f32 = 0.0; // the largest norm, or magnitude of a value

@group(0) @binding(0) var<storage, read> gradients: array<f32>; // (LEN)
@group(0) @binding(1) var<storage, read_write> squares: array<f32>; // (PARTS)

@group(0) @binding(0) var<storage, read> squared_norm: array<f32>; // (1)
@group(0) @binding(1) var<storage, read_write> scaled: array<f32>; // (LEN)

@group(0) @binding(0) var<storage, read_write> clipped: array<u32>; // (LEN), floats

const SMALLEST_NORMAL: u32 = 0x00800000u;
const MAGNITUDE: u32 = 0x7fffffffu;
const INFINITY: u32 = 0x7f800000u;
const NORM_EPS: f32 = 1e-6; // PyTorch's

// One invocation per part: elements PARTS apart, so that neighbours read neighbours.
@compute @workgroup_size(WORKGROUP_SIZE)
fn sum_squares(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let part = invocation(id, workgroups);
    if part >= PARTS {
        return;
    }
    var total = 0.0;
    for (var index = part; index < LEN; index += PARTS) {
        let gradient = gradients[index];
        total += gradient * gradient;
    }
    squares[part] = total;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn clip_norm(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN {
        return;
    }
    // WGSL does not define the accuracy of the root of zero or a subnormal: both count as zero.
    let square = squared_norm[0];
    let is_zero = (bitcast<u32>(square) & MAGNITUDE) < SMALLEST_NORMAL;
    let norm = select(sqrt(square), 0.0, is_zero);
    scaled[index] *= min(LIMIT / (norm + NORM_EPS), 1.0);
}

// Of the bits, so that NaN and subnormals stay as they are.
@compute @workgroup_size(WORKGROUP_SIZE)
fn clip_value(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN {
        return;
    }
    let gradient = clipped[index];
    let magnitude = gradient & MAGNITUDE;
    let limit = bitcast<u32>(LIMIT);
    if magnitude > limit && magnitude <= INFINITY {
        clipped[index] = limit | (gradient & ~MAGNITUDE);
    }
}
