// Convolution and its gradients as implicit GEMM: im2col's columns are read directly from the
// image. One invocation computes an 8×8 tile in registers: 16 loads feed 64 multiply-adds.
//
// Preludes: invocation, step, window, convolution, outer, relu.

const TILE: u32 = 8u;

const FOUR = vec4<u32>(0u, 1u, 2u, 3u);

// A tile of a product: column i of a matrix is row i of a 4×4 block.
struct Blocks {
    top_left: mat4x4<f32>,
    top_right: mat4x4<f32>,
    bottom_left: mat4x4<f32>,
    bottom_right: mat4x4<f32>,
}

// Four pixels: the plane of the image's first channel, and the position on it.
struct Pixels {
    plane: vec4<u32>,
    h: vec4<u32>,
    w: vec4<u32>,
}

// Four of the N·height·width pixels from `first` on, clamped to the last one.
fn pixels_from(first: u32, height: u32, width: u32, channels: u32) -> Pixels {
    let index = min(first + FOUR, vec4<u32>(BATCH * height * width - 1u));
    let image = index / (height * width);
    return Pixels(image * channels, index / width % height, index % width);
}

// Four input values; zero on the padding. Negative indices wrap past H and W. The zero comes from
// the step: a driver that knows it may fold its product with infinity to zero.
fn input_at(plane: vec4<u32>, h: vec4<u32>, w: vec4<u32>) -> vec4<f32> {
    let inside = (h < vec4<u32>(H)) & (w < vec4<u32>(W));
    let at = select(vec4<u32>(), (plane * H + h) * W + w, inside);
    let values = vec4<f32>(input[at.x], input[at.y], input[at.z], input[at.w]);
    return select(bitcast<vec4<f32>>(vec4<u32>(this_step.zero)), values, inside);
}

fn store_output(o: u32, index: u32, sum: f32) {
    if o >= O || index >= BATCH * OH * OW {
        return;
    }
    var value = sum;
    if BIAS {
        value += bias[o];
    }
    if RELU && !passes(value) {
        value = 0.0;
    }
    output[(index / (OH * OW) * O + o) * (OH * OW) + index % (OH * OW)] = value;
}

fn store_output_row(o: u32, index: u32, row: vec4<f32>) {
    store_output(o, index, row.x);
    store_output(o, index + 1u, row.y);
    store_output(o, index + 2u, row.z);
    store_output(o, index + 3u, row.w);
}

fn store_output_block(o: u32, index: u32, rows: mat4x4<f32>) {
    store_output_row(o, index, rows[0]);
    store_output_row(o + 1u, index, rows[1]);
    store_output_row(o + 2u, index, rows[2]);
    store_output_row(o + 3u, index, rows[3]);
}

// Rows: output channels. Columns: output pixels of all images. Summed over (c, kh, kw).
@compute @workgroup_size(WORKGROUP_SIZE)
fn conv_forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let tile = invocation(id, workgroups);
    let tiles = (BATCH * OH * OW + TILE - 1u) / TILE;
    let o = tile / tiles * TILE;
    let first = tile % tiles * TILE;
    if o >= O {
        return;
    }
    let left = pixels_from(first, OH, OW, C);
    let right = pixels_from(first + 4u, OH, OW, C);
    let top_row = min(o + FOUR, vec4<u32>(O - 1u)) * (C * KH * KW);
    let bottom_row = min(o + 4u + FOUR, vec4<u32>(O - 1u)) * (C * KH * KW);
    var sums = Blocks();
    for (var c = 0u; c < C; c++) {
        for (var kh = 0u; kh < KH; kh++) {
            for (var kw = 0u; kw < KW; kw++) {
                let h = kh * DILATION_H - PAD_H;
                let w = kw * DILATION_W - PAD_W;
                let x0 = input_at(left.plane + c, left.h * STRIDE_H + h, left.w * STRIDE_W + w);
                let x1 = input_at(right.plane + c, right.h * STRIDE_H + h, right.w * STRIDE_W + w);
                let at0 = top_row + ((c * KH + kh) * KW + kw);
                let at1 = bottom_row + ((c * KH + kh) * KW + kw);
                let w0 = vec4<f32>(weight[at0.x], weight[at0.y], weight[at0.z], weight[at0.w]);
                let w1 = vec4<f32>(weight[at1.x], weight[at1.y], weight[at1.z], weight[at1.w]);
                sums.top_left += outer(w0, x0);
                sums.top_right += outer(w0, x1);
                sums.bottom_left += outer(w1, x0);
                sums.bottom_right += outer(w1, x1);
            }
        }
    }
    store_output_block(o, first, sums.top_left);
    store_output_block(o, first + 4u, sums.top_right);
    store_output_block(o + 4u, first, sums.bottom_left);
    store_output_block(o + 4u, first + 4u, sums.bottom_right);
}

// The gradients of the outputs whose windows have cell (kh, kw) on four input pixels, if any.
struct Over {
    covered: vec4<bool>,
    values: vec4<f32>,
}

fn d_output_over(pixels: Pixels, o: u32, kh: u32, kw: u32) -> Over {
    let h = pixels.h + PAD_H - kh * DILATION_H;
    let w = pixels.w + PAD_W - kw * DILATION_W;
    let oh = h / STRIDE_H;
    let ow = w / STRIDE_W;
    let covered = (oh < vec4<u32>(OH)) & (ow < vec4<u32>(OW)) & (oh * STRIDE_H == h) & (ow * STRIDE_W == w);
    let at = select(vec4<u32>(), ((pixels.plane + o) * OH + oh) * OW + ow, covered);
    let values = vec4<f32>(d_output[at.x], d_output[at.y], d_output[at.z], d_output[at.w]);
    return Over(covered, values);
}

// `outer`, but zero where no window is: zero times an infinite weight would be NaN.
fn outer_over(column: vec4<f32>, over: Over) -> mat4x4<f32> {
    let products = outer(column, over.values);
    let none = vec4<f32>();
    return mat4x4<f32>(
        select(none, products[0], over.covered),
        select(none, products[1], over.covered),
        select(none, products[2], over.covered),
        select(none, products[3], over.covered),
    );
}

fn store_d_input(c: u32, index: u32, sum: f32) {
    if c < C && index < BATCH * H * W {
        d_input[(index / (H * W) * C + c) * (H * W) + index % (H * W)] = sum;
    }
}

fn store_d_input_row(c: u32, index: u32, row: vec4<f32>) {
    store_d_input(c, index, row.x);
    store_d_input(c, index + 1u, row.y);
    store_d_input(c, index + 2u, row.z);
    store_d_input(c, index + 3u, row.w);
}

fn store_d_input_block(c: u32, index: u32, rows: mat4x4<f32>) {
    store_d_input_row(c, index, rows[0]);
    store_d_input_row(c + 1u, index, rows[1]);
    store_d_input_row(c + 2u, index, rows[2]);
    store_d_input_row(c + 3u, index, rows[3]);
}

// Rows: input channels. Columns: input pixels of all images. Summed over (o, kh, kw).
@compute @workgroup_size(WORKGROUP_SIZE)
fn conv_backward_input(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let tile = invocation(id, workgroups);
    let tiles = (BATCH * H * W + TILE - 1u) / TILE;
    let c = tile / tiles * TILE;
    let first = tile % tiles * TILE;
    if c >= C {
        return;
    }
    let left = pixels_from(first, H, W, O);
    let right = pixels_from(first + 4u, H, W, O);
    let top_row = min(c + FOUR, vec4<u32>(C - 1u)) * (KH * KW);
    let bottom_row = min(c + 4u + FOUR, vec4<u32>(C - 1u)) * (KH * KW);
    var sums = Blocks();
    for (var o = 0u; o < O; o++) {
        for (var kh = 0u; kh < KH; kh++) {
            for (var kw = 0u; kw < KW; kw++) {
                let d0 = d_output_over(left, o, kh, kw);
                let d1 = d_output_over(right, o, kh, kw);
                let at0 = top_row + (o * C * KH + kh) * KW + kw;
                let at1 = bottom_row + (o * C * KH + kh) * KW + kw;
                let w0 = vec4<f32>(kernels[at0.x], kernels[at0.y], kernels[at0.z], kernels[at0.w]);
                let w1 = vec4<f32>(kernels[at1.x], kernels[at1.y], kernels[at1.z], kernels[at1.w]);
                sums.top_left += outer_over(w0, d0);
                sums.top_right += outer_over(w0, d1);
                sums.bottom_left += outer_over(w1, d0);
                sums.bottom_right += outer_over(w1, d1);
            }
        }
    }
    store_d_input_block(c, first, sums.top_left);
    store_d_input_block(c, first + 4u, sums.top_right);
    store_d_input_block(c + 4u, first, sums.bottom_left);
    store_d_input_block(c + 4u, first + 4u, sums.bottom_right);
}

// The positions on the input of four of the C·KH·KW weights of an output channel: channel and cell.
fn cells_from(first: u32) -> Pixels {
    let index = min(first + FOUR, vec4<u32>(C * KH * KW - 1u));
    return Pixels(index / (KH * KW), index / KW % KH * DILATION_H, index % KW * DILATION_W);
}

fn store_d_weight(part: u32, o: u32, k: u32, sum: f32) {
    if o < O && k < C * KH * KW {
        d_weight[(part * O + o) * (C * KH * KW) + k] = sum;
    }
}

fn store_d_weight_row(part: u32, o: u32, k: u32, row: vec4<f32>) {
    store_d_weight(part, o, k, row.x);
    store_d_weight(part, o, k + 1u, row.y);
    store_d_weight(part, o, k + 2u, row.z);
    store_d_weight(part, o, k + 3u, row.w);
}

fn store_d_weight_block(part: u32, o: u32, k: u32, rows: mat4x4<f32>) {
    store_d_weight_row(part, o, k, rows[0]);
    store_d_weight_row(part, o + 1u, k, rows[1]);
    store_d_weight_row(part, o + 2u, k, rows[2]);
    store_d_weight_row(part, o + 3u, k, rows[3]);
}

// Rows: output channels. Columns: (c, kh, kw). Summed over the part's output pixels.
@compute @workgroup_size(WORKGROUP_SIZE)
fn conv_backward_weight(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let tile = invocation(id, workgroups);
    let tiles_k = (C * KH * KW + TILE - 1u) / TILE;
    let tiles_o = (O + TILE - 1u) / TILE;
    let k = tile % tiles_k * TILE;
    let o = tile / tiles_k % tiles_o * TILE;
    let part = tile / (tiles_k * tiles_o);
    if part >= PARTS {
        return;
    }
    let positions = BATCH * OH * OW;
    let part_len = (positions + PARTS - 1u) / PARTS;
    let left = cells_from(k);
    let right = cells_from(k + 4u);
    let top_row = min(o + FOUR, vec4<u32>(O - 1u)) * (OH * OW);
    let bottom_row = min(o + 4u + FOUR, vec4<u32>(O - 1u)) * (OH * OW);
    var sums = Blocks();
    var top_bias = vec4<f32>();
    var bottom_bias = vec4<f32>();
    let end = min((part + 1u) * part_len, positions);
    var next = part * part_len; // position, counted over all images
    while next < end {
        // The rest of a row of an image.
        let row = next / OW;
        let n = row / OH;
        let h = row % OH * STRIDE_H - PAD_H;
        let first = next % OW;
        let row_end = min(OW, first + end - next);
        for (var ow = first; ow < row_end; ow++) {
            let w = ow * STRIDE_W - PAD_W;
            let x0 = input_at(left.plane + n * C, left.h + h, left.w + w);
            let x1 = input_at(right.plane + n * C, right.h + h, right.w + w);
            let at0 = top_row + (n * (O - 1u) * OH + row) * OW + ow;
            let at1 = bottom_row + (n * (O - 1u) * OH + row) * OW + ow;
            let d0 = vec4<f32>(d_output[at0.x], d_output[at0.y], d_output[at0.z], d_output[at0.w]);
            let d1 = vec4<f32>(d_output[at1.x], d_output[at1.y], d_output[at1.z], d_output[at1.w]);
            sums.top_left += outer(d0, x0);
            sums.top_right += outer(d0, x1);
            sums.bottom_left += outer(d1, x0);
            sums.bottom_right += outer(d1, x1);
            top_bias += d0;
            bottom_bias += d1;
        }
        next += row_end - first;
    }
    store_d_weight_block(part, o, k, sums.top_left);
    store_d_weight_block(part, o, k + 4u, sums.top_right);
    store_d_weight_block(part, o + 4u, k, sums.bottom_left);
    store_d_weight_block(part, o + 4u, k + 4u, sums.bottom_right);
    if k == 0u {
        for (var i = 0u; i < min(4u, O - o); i++) {
            d_bias[part * O + o + i] = top_bias[i];
        }
        for (var i = 4u; i < min(8u, O - o); i++) {
            d_bias[part * O + o + i] = bottom_bias[i - 4u];
        }
    }
}
