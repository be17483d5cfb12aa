// Softmax over the channels of each place, and its gradient. One invocation per place, whose values
// lie CLASS_STRIDE apart.
//
// Preludes: invocation, order, logits.

override ROWS: u32; // N

@group(0) @binding(0) var<storage, read> logits: array<u32>; // (N, C, AREA), the bits of f32
@group(0) @binding(1) var<storage, read_write> shares: array<u32>; // (N, C, AREA), the bits of f32

@group(0) @binding(0) var<storage, read> output: array<f32>; // (N, C, AREA), shares
@group(0) @binding(1) var<storage, read> d_output: array<f32>; // (N, C, AREA)
@group(0) @binding(2) var<storage, read_write> d_input: array<f32>; // (N, C, AREA)

// The first value of a place.
fn first_of(place: u32) -> u32 {
    return place / CLASS_STRIDE * CLASSES * CLASS_STRIDE + place % CLASS_STRIDE;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn softmax_forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let place = invocation(id, workgroups);
    if place >= ROWS * CLASS_STRIDE {
        return;
    }
    let first = first_of(place);
    let found = softmax(first);
    for (var c = 0u; c < CLASSES; c++) {
        let at = first + c * CLASS_STRIDE;
        let share = exponential(logits[at], found.largest) / found.sum;
        shares[at] = select(NAN, bitcast<u32>(share), found.is_number);
    }
}

// d_input = output · (d_output − Σ d_output·output).
@compute @workgroup_size(WORKGROUP_SIZE)
fn softmax_backward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let place = invocation(id, workgroups);
    if place >= ROWS * CLASS_STRIDE {
        return;
    }
    let first = first_of(place);
    var sum = 0.0;
    for (var c = 0u; c < CLASSES; c++) {
        let at = first + c * CLASS_STRIDE;
        sum += d_output[at] * output[at];
    }
    for (var c = 0u; c < CLASSES; c++) {
        let at = first + c * CLASS_STRIDE;
        d_input[at] = output[at] * (d_output[at] - sum);
    }
}
