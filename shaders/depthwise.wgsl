// Depthwise convolution and its gradients: each input channel has filters of its own, so there are
// no sums over channels. One invocation computes four adjacent elements of a plane, or four cells of
// a filter.
//
// Preludes: invocation, step, window, relu.

override BATCH: u32; // N
override C: u32;
override M: u32; // output channels of each input channel
override BIAS: bool; // a bias is added
override RELU: bool; // ReLU follows
override PARTS: u32; // runs of output pixels, each with its own partial gradient of the weight

@group(0) @binding(0) var<storage, read> input: array<f32>; // (N, C, H, W)
@group(0) @binding(1) var<storage, read> weight: array<f32>; // (C·M, 1, KH, KW)
@group(0) @binding(2) var<storage, read> bias: array<f32>; // (C·M), if there is one
@group(0) @binding(3) var<storage, read_write> output: array<f32>; // (N, C·M, OH, OW)

@group(0) @binding(0) var<storage, read> kernels: array<f32>; // (C·M, 1, KH, KW)
@group(0) @binding(1) var<storage, read> d_output: array<f32>; // (N, C·M, OH, OW)
@group(0) @binding(2) var<storage, read_write> d_input: array<f32>; // (N, C, H, W)

@group(0) @binding(2) var<storage, read_write> d_weight: array<f32>; // (PARTS, C·M, 1, KH, KW)

const FOUR = vec4<u32>(0u, 1u, 2u, 3u);

// Four input values of a plane; zero on the padding. Negative indices wrap past H and W. The zero
// comes from the step: a driver that knows it may fold its product with infinity to zero.
fn input_at(plane: u32, h: vec4<u32>, w: vec4<u32>) -> vec4<f32> {
    let inside = (h < vec4<u32>(H)) & (w < vec4<u32>(W));
    let at = select(vec4<u32>(), (plane * H + h) * W + w, inside);
    let values = vec4<f32>(input[at.x], input[at.y], input[at.z], input[at.w]);
    return select(bitcast<vec4<f32>>(vec4<u32>(this_step.zero)), values, inside);
}

fn store_output(plane: u32, position: u32, value: f32) {
    if position < OH * OW {
        output[plane * OH * OW + position] = value;
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn depthwise_forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    let quads = (OH * OW + 3u) / 4u;
    let plane = index / quads; // of N·C·M
    if plane >= BATCH * C * M {
        return;
    }
    let first = index % quads * 4u;
    let position = min(first + FOUR, vec4<u32>(OH * OW - 1u));
    let h = position / OW * STRIDE_H - PAD_H;
    let w = position % OW * STRIDE_W - PAD_W;
    let channel = plane % (C * M);
    var sum = vec4<f32>();
    for (var kh = 0u; kh < KH; kh++) {
        for (var kw = 0u; kw < KW; kw++) {
            let values = input_at(plane / M, h + kh * DILATION_H, w + kw * DILATION_W);
            sum += weight[(channel * KH + kh) * KW + kw] * values;
        }
    }
    if BIAS {
        sum += bias[channel];
    }
    if RELU {
        sum = select(vec4<f32>(), sum, passes_four(sum));
    }
    store_output(plane, first, sum.x);
    store_output(plane, first + 1u, sum.y);
    store_output(plane, first + 2u, sum.z);
    store_output(plane, first + 3u, sum.w);
}

fn store_d_input(plane: u32, pixel: u32, value: f32) {
    if pixel < H * W {
        d_input[plane * H * W + pixel] = value;
    }
}

// Cell (kh, kw) of a filter lay on this pixel at position ((h, w) − dilation · (kh, kw)) / stride, if
// that is an integer. A weight that no window places on a pixel adds nothing to it, even if it is
// infinite.
@compute @workgroup_size(WORKGROUP_SIZE)
fn depthwise_backward_input(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    let quads = (H * W + 3u) / 4u;
    let plane = index / quads; // of N·C
    if plane >= BATCH * C {
        return;
    }
    let first = index % quads * 4u;
    let pixel = min(first + FOUR, vec4<u32>(H * W - 1u));
    var sum = vec4<f32>();
    for (var m = 0u; m < M; m++) {
        let channel = plane % C * M + m;
        for (var kh = 0u; kh < KH; kh++) {
            let h = pixel / W + PAD_H - kh * DILATION_H;
            let oh = h / STRIDE_H;
            let row_covered = (oh < vec4<u32>(OH)) & (oh * STRIDE_H == h);
            for (var kw = 0u; kw < KW; kw++) {
                let w = pixel % W + PAD_W - kw * DILATION_W;
                let ow = w / STRIDE_W;
                let covered = row_covered & (ow < vec4<u32>(OW)) & (ow * STRIDE_W == w);
                let at = select(vec4<u32>(), ((plane * M + m) * OH + oh) * OW + ow, covered);
                let values = vec4<f32>(d_output[at.x], d_output[at.y], d_output[at.z], d_output[at.w]);
                let products = kernels[(channel * KH + kh) * KW + kw] * values;
                sum += select(vec4<f32>(), products, covered);
            }
        }
    }
    store_d_input(plane, first, sum.x);
    store_d_input(plane, first + 1u, sum.y);
    store_d_input(plane, first + 2u, sum.z);
    store_d_input(plane, first + 3u, sum.w);
}

fn store_d_weight(filter_at: u32, cell: u32, value: f32) {
    if cell < KH * KW {
        d_weight[filter_at * KH * KW + cell] = value;
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn depthwise_backward_weight(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    let quads = (KH * KW + 3u) / 4u;
    let filter_at = index / quads; // of PARTS·C·M
    if filter_at >= PARTS * C * M {
        return;
    }
    let first = index % quads * 4u;
    let cell = min(first + FOUR, vec4<u32>(KH * KW - 1u));
    let cell_h = cell / KW * DILATION_H - PAD_H;
    let cell_w = cell % KW * DILATION_W - PAD_W;

    // Positions are counted over all images.
    let positions = BATCH * OH * OW;
    let part_len = (positions + PARTS - 1u) / PARTS;
    let begin = filter_at / (C * M) * part_len;
    let end = min(begin + part_len, positions);
    let channel = filter_at % (C * M);
    var n = begin / (OH * OW);
    var oh = begin / OW % OH;
    var ow = begin % OW;
    var sum = vec4<f32>();
    for (var position = begin; position < end; position++) {
        let gradient = d_output[((n * C * M + channel) * OH + oh) * OW + ow];
        let values = input_at(n * C + channel / M, cell_h + oh * STRIDE_H, cell_w + ow * STRIDE_W);
        sum += gradient * values;
        ow++;
        if ow == OW {
            ow = 0u;
            oh++;
        }
        if oh == OH {
            oh = 0u;
            n++;
        }
    }
    store_d_weight(filter_at, first, sum.x);
    store_d_weight(filter_at, first + 1u, sum.y);
    store_d_weight(filter_at, first + 2u, sum.z);
    store_d_weight(filter_at, first + 3u, sum.w);
}
