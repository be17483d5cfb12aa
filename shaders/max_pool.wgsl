// The maximum of each window, and its gradient.
//
// Preludes: invocation, order, pool, window.

override PLANES: u32; // N·C
override RELU: bool; // ReLU before the pool

@group(0) @binding(0) var<storage, read> input: array<u32>; // (N·C, H, W), the bits of f32
@group(0) @binding(1) var<storage, read_write> output: array<u32>; // (N·C, OH, OW), the bits of f32
@group(0) @binding(2) var<storage, read_write> indices: array<u32>; // (N·C, OH, OW), pixel of the plane

@group(0) @binding(0) var<storage, read> winners: array<u32>; // (N·C, OH, OW), forward's indices
@group(0) @binding(1) var<storage, read> d_output: array<f32>; // (N·C, OH, OW)
@group(0) @binding(2) var<storage, read_write> d_input: array<f32>; // (N·C, H, W)

@group(0) @binding(1) var<storage, read> pooled: array<u32>; // (N·C, OH, OW), forward's output
@group(0) @binding(2) var<storage, read> d_output_all: array<f32>; // (N·C, OH, OW)
@group(0) @binding(3) var<storage, read_write> d_input_all: array<f32>; // (N·C, H, W)

const ZERO_KEY: u32 = 0x80000000;

// One invocation finds the maximum of one window.
@compute @workgroup_size(WORKGROUP_SIZE)
fn max_pool_forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= PLANES * OH * OW {
        return;
    }
    let plane = index / (OH * OW) * H * W;
    var best = 0u;
    var winner = 0u;
    var maximum = 0u;
    for (var kh = 0u; kh < KH; kh++) {
        for (var kw = 0u; kw < KW; kw++) {
            // Negative indices wrap past H and W, so one comparison finds the padding on both
            // sides.
            let h = index / OW % OH * STRIDE_H + kh - PAD_H;
            let w = index % OW * STRIDE_W + kw - PAD_W;
            if h >= H || w >= W {
                continue;
            }
            let bits = input[plane + h * W + w];
            let key = ordered_key(bits);
            if key > best {
                best = key;
                winner = h * W + w;
                maximum = bits;
            }
        }
    }
    let passes = !RELU || best > ZERO_KEY;
    output[index] = select(0u, maximum, passes);
    indices[index] = select(NO_PIXEL, winner, passes);
}

// The positions, along one axis, of the windows that cover a pixel: first..end.
struct Positions {
    first: u32,
    end: u32,
}

fn covering(padded: u32, kernel: u32, stride: u32, count: u32) -> Positions {
    let first = select((padded - kernel) / stride + 1u, 0u, padded < kernel);
    return Positions(first, min(padded / stride + 1u, count));
}

// One invocation sums, for one pixel, the gradients of the windows that it won.
@compute @workgroup_size(WORKGROUP_SIZE)
fn max_pool_backward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= PLANES * H * W {
        return;
    }
    let rows = covering(index / W % H + PAD_H, KH, STRIDE_H, OH);
    let columns = covering(index % W + PAD_W, KW, STRIDE_W, OW);
    var sum = 0.0;
    for (var oh = rows.first; oh < rows.end; oh++) {
        for (var ow = columns.first; ow < columns.end; ow++) {
            let position = (index / (H * W) * OH + oh) * OW + ow;
            if winners[position] == index % (H * W) {
                sum += d_output[position];
            }
        }
    }
    d_input[index] = sum;
}

// For windows that do not overlap, without padding. One invocation writes all pixels of one window
// (including the partial window at the edge).
@compute @workgroup_size(WORKGROUP_SIZE)
fn max_pool_backward_disjoint(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let rows = (H + KH - 1u) / KH;
    let columns = (W + KW - 1u) / KW;
    let index = invocation(id, workgroups);
    let ow = index % columns;
    let oh = index / columns % rows;
    let plane = index / (columns * rows);
    if plane >= PLANES {
        return;
    }
    var winner = NO_PIXEL;
    var gradient = 0.0;
    if oh < OH && ow < OW {
        let position = (plane * OH + oh) * OW + ow;
        winner = winners[position];
        gradient = d_output[position];
    }
    for (var h = oh * KH; h < min(oh * KH + KH, H); h++) {
        for (var w = ow * KW; w < min(ow * KW + KW, W); w++) {
            let pixel = h * W + w;
            d_input[plane * H * W + pixel] = select(0.0, gradient, pixel == winner);
        }
    }
}

// One invocation sums, for one pixel, the gradients of the windows whose maximum it equals.
@compute @workgroup_size(WORKGROUP_SIZE)
fn max_pool_backward_all(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= PLANES * H * W {
        return;
    }
    let rows = covering(index / W % H + PAD_H, KH, STRIDE_H, OH);
    let columns = covering(index % W + PAD_W, KW, STRIDE_W, OW);
    let key = ordered_key(input[index]);
    var sum = 0.0;
    for (var oh = rows.first; oh < rows.end; oh++) {
        for (var ow = columns.first; ow < columns.end; ow++) {
            let position = (index / (H * W) * OH + oh) * OW + ow;
            if key != NAN_KEY && key == ordered_key(pooled[position]) {
                sum += d_output_all[position];
            }
        }
    }
    d_input_all[index] = sum;
}
