// Convolution of stride 1, bias, ReLU and 2×2 max-pool in one kernel, and the gradient of its
// weights from the pooled gradient. The convolution's output is never written; with GATHERED,
// neither is the batch: its pixels are read directly from the data set.
//
// Preludes: invocation, step, loads, pool, window.

override BATCH: u32; // N
override C: u32;
override O: u32;
override ACCUMULATE: bool;
override GATHERED: bool;
// WORKGROUP_SIZE: a multiple of 64.

@group(0) @binding(0) var<storage, read> input: array<Pair>; // (N, C, H, W) f32; GATHERED: (samples, C, H, W) bytes
@group(0) @binding(1) var<storage, read> weight: array<Pair>; // (O, C, KH, KW)
@group(0) @binding(2) var<storage, read> bias: array<Pair>; // (O)
@group(0) @binding(3) var<storage, read> order: array<u32>; // (samples), read if GATHERED
@group(0) @binding(4) var<storage, read_write> pooled: array<f32>; // (N, O, OH/2, OW/2)
@group(0) @binding(5) var<storage, read_write> indices: array<u32>; // like pooled: pixel of (OH, OW), or NO_PIXEL

@group(0) @binding(1) var<storage, read> winners: array<Pair>; // forward's indices
@group(0) @binding(2) var<storage, read> d_pooled: array<Pair>; // (N, O, OH/2, OW/2)
@group(0) @binding(4) var<storage, read_write> d_weight: array<f32>; // (O, C, KH, KW)
@group(0) @binding(5) var<storage, read_write> d_bias: array<f32>; // (O)

// The largest integer: the bits of a NaN.
const NAN_KEY: i32 = 0x7fffffff;
const FOUR = vec4<u32>(0u, 1u, 2u, 3u);
// A product, unlike a quotient, is correctly rounded on every adapter.
const BYTE_SCALE: f32 = 1.0 / 255.0;

// The bits of positive floats have the order of integers, and of others only the sign matters here;
// NaN is above all. WGSL may flush subnormals and assume that no NaN occurs, so floats are not
// compared as floats.
fn keys_of(values: vec4<f32>) -> vec4<i32> {
    let bits = bitcast<vec4<i32>>(values);
    let is_nan = (bits & vec4<i32>(NAN_KEY)) > vec4<i32>(0x7f800000);
    return select(bits, vec4<i32>(NAN_KEY), is_nan);
}

struct Image {
    first: u32, // its first element in the input
    height: u32, // H; 0 for a padding row of the batch, which is all zeros
}

fn image_at(n: u32) -> Image {
    if !GATHERED {
        return Image(n * (C * H * W), H);
    }
    if n < this_step.rows {
        return Image(order[this_step.offset + n] * (C * H * W), H);
    }
    return Image(0u, 0u);
}

// Whether each of four pixels from (h, w) on is inside the image. Negative indices wrap past H and
// W.
fn inside(image: Image, h: u32, w: u32) -> vec4<bool> {
    return (w + FOUR < vec4<u32>(W)) & vec4<bool>(h < image.height);
}

// Four words of three pairs, starting at the first pair's second word if odd.
fn four_of(odd: u32, first: vec2<u32>, second: vec2<u32>, third: vec2<u32>) -> vec4<u32> {
    let even = vec4<u32>(first, second);
    return select(even, vec4<u32>(even.yzw, third.x), odd == 1u);
}

// The word or pair that holds byte or word `at`, 2^bits per holder; `at` may be negative.
fn holder_of(at: u32, bits: u32) -> u32 {
    return bitcast<u32>(bitcast<i32>(at) >> bits);
}

// The first `count` (up to four) words of the input from word `at` on.
fn input_at(at: u32, count: u32) -> vec4<u32> {
    let odd = at % 2u;
    let pair = holder_of(at, 1u);
    var second = vec2<u32>();
    if odd + count > 2u {
        second = words(input[pair + 1u]);
    }
    var third = vec2<u32>();
    if odd + count > 4u {
        third = words(input[pair + 2u]);
    }
    return four_of(odd, words(input[pair]), second, third);
}

// A row of a filter, from element `at` on.
fn weights_at(at: u32) -> vec4<f32> {
    let pair = at / 2u;
    var third = vec2<u32>();
    if at % 2u + KW > 4u {
        third = words(weight[pair + 2u]);
    }
    return bitcast<vec4<f32>>(four_of(at % 2u, words(weight[pair]), words(weight[pair + 1u]), third));
}

// Four floats, the pixels from (h, w) on. The padding's zero comes from the step: a driver that
// knows it may fold its product with infinity to zero.
fn floats_of(image: Image, h: u32, w: u32, bits: vec4<u32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(select(vec4<u32>(this_step.zero), bits, inside(image, h, w)));
}

// Four bytes of a word, the pixels from (h, w) on.
fn bytes_of(image: Image, h: u32, w: u32, word: u32) -> vec4<f32> {
    let bytes = vec4<u32>(word, word >> 8u, word >> 16u, word >> 24u) & vec4<u32>(0xffu);
    return vec4<f32>(select(vec4<u32>(this_step.zero), bytes, inside(image, h, w))) * BYTE_SCALE;
}

// The first `count` (up to twelve) bytes of the input from byte `at` on.
fn packed_at(at: u32, count: u32) -> vec3<u32> {
    let read = input_at(holder_of(at, 2u), (at % 4u + count + 3u) / 4u);
    let shift = at % 4u * 8u;
    return (read.xyz >> vec3<u32>(shift)) | (read.yzw << vec3<u32>(1u) << vec3<u32>(31u - shift));
}

// Eight pixels of four channels: column i of a matrix is channel i.
struct Row {
    left: mat4x4<f32>,
    right: mat4x4<f32>,
}

// The inputs of eight adjacent outputs in one input row.
struct Span {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
}

fn span_at(image: Image, c: u32, h: u32, w: u32) -> Span {
    let at = image.first + (c * H + h) * W + w;
    if GATHERED {
        let bytes = packed_at(at, 7u + KW);
        let a = bytes_of(image, h, w, bytes.x);
        let b = bytes_of(image, h, w + 4u, bytes.y);
        return Span(a, b, bytes_of(image, h, w + 8u, bytes.z));
    }
    let a = floats_of(image, h, w, input_at(at, 4u));
    let b = floats_of(image, h, w + 4u, input_at(at + 4u, 4u));
    return Span(a, b, floats_of(image, h, w + 8u, input_at(at + 8u, KW - 1u)));
}

fn outer(channels: vec4<f32>, pixels: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(channels.x * pixels, channels.y * pixels, channels.z * pixels, channels.w * pixels);
}

// Adds one row of the filter, whose columns are those of the matrix.
fn add_row(sums: Row, weights: mat4x4<f32>, x: Span) -> Row {
    var left = sums.left + outer(weights[0], x.a);
    var right = sums.right + outer(weights[0], x.b);
    if KW > 1u {
        left += outer(weights[1], vec4<f32>(x.a.yzw, x.b.x));
        right += outer(weights[1], vec4<f32>(x.b.yzw, x.c.x));
    }
    if KW > 2u {
        left += outer(weights[2], vec4<f32>(x.a.zw, x.b.xy));
        right += outer(weights[2], vec4<f32>(x.b.zw, x.c.xy));
    }
    if KW > 3u {
        left += outer(weights[3], vec4<f32>(x.a.w, x.b.xyz));
        right += outer(weights[3], vec4<f32>(x.b.w, x.c.xyz));
    }
    return Row(left, right);
}

// Stores the first largest of a 2×2 window at (2·ph, 2·pw), after ReLU.
fn store_window(plane: u32, ph: u32, pw: u32, top: vec2<f32>, bottom: vec2<f32>) {
    if pw >= OW / 2u {
        return;
    }
    let keys = keys_of(vec4<f32>(top, bottom));
    let best = max(max(keys.x, keys.y), max(keys.z, keys.w));
    let first = 2u * ph * OW + 2u * pw;
    var winner = first + OW + 1u;
    winner = select(winner, first + OW, keys.z == best);
    winner = select(winner, first + 1u, keys.y == best);
    winner = select(winner, first, keys.x == best);
    let index = (plane * (OH / 2u) + ph) * (OW / 2u) + pw;
    // The key of a value that passes is its bits, or those of a NaN.
    pooled[index] = bitcast<f32>(max(best, 0));
    indices[index] = select(NO_PIXEL, winner, best > 0);
}

// Stores four windows of one channel, from eight outputs of two rows.
fn store_windows(n: u32, o: u32, ph: u32, pw: u32, b: f32, top: vec4<f32>, top_right: vec4<f32>, bottom: vec4<f32>, bottom_right: vec4<f32>) {
    if o >= O {
        return;
    }
    let plane = n * O + o;
    store_window(plane, ph, pw, top.xy + b, bottom.xy + b);
    store_window(plane, ph, pw + 1u, top.zw + b, bottom.zw + b);
    store_window(plane, ph, pw + 2u, top_right.xy + b, bottom_right.xy + b);
    store_window(plane, ph, pw + 3u, top_right.zw + b, bottom_right.zw + b);
}

// One invocation computes four adjacent windows of four channels.
@compute @workgroup_size(WORKGROUP_SIZE)
fn conv_pool_forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    let tiles_w = (OW / 2u + 3u) / 4u;
    let tiles_o = (O + 3u) / 4u;
    let pw = index % tiles_w * 4u;
    let ph = index / tiles_w % (OH / 2u);
    let o = index / (tiles_w * (OH / 2u)) % tiles_o * 4u;
    let n = index / (tiles_w * (OH / 2u) * tiles_o);
    if n >= BATCH {
        return;
    }
    let weights = min(o + FOUR, vec4<u32>(O - 1u)) * (C * KH * KW);
    var top = Row();
    var bottom = Row();
    let image = image_at(n);
    for (var c = 0u; c < C; c++) {
        let w = 2u * pw - PAD_W;
        var above = span_at(image, c, 2u * ph - PAD_H, w);
        for (var kh = 0u; kh < KH; kh++) {
            let below = span_at(image, c, 2u * ph + kh + 1u - PAD_H, w);
            let at = weights + (c * KH + kh) * KW;
            // Its columns are those of the filter's row, for four channels each.
            let row = transpose(mat4x4<f32>(
                weights_at(at.x),
                weights_at(at.y),
                weights_at(at.z),
                weights_at(at.w),
            ));
            top = add_row(top, row, above);
            bottom = add_row(bottom, row, below);
            above = below;
        }
    }
    let biases = bitcast<vec4<f32>>(vec4<u32>(words(bias[o / 2u]), words(bias[o / 2u + 1u])));
    store_windows(n, o, ph, pw, biases.x, top.left[0], top.right[0], bottom.left[0], bottom.right[0]);
    store_windows(n, o + 1u, ph, pw, biases.y, top.left[1], top.right[1], bottom.left[1], bottom.right[1]);
    store_windows(n, o + 2u, ph, pw, biases.z, top.left[2], top.right[2], bottom.left[2], bottom.right[2]);
    store_windows(n, o + 3u, ph, pw, biases.w, top.left[3], top.right[3], bottom.left[3], bottom.right[3]);
}

// Four adjacent windows of a channel: their winning pixels, and the gradients of these. A window
// without a winner has no gradient.
struct Winners {
    is_won: vec4<bool>,
    is_lower: vec4<bool>,
    passes: vec4<bool>,
    gradients: vec4<f32>,
}

fn winners_at(n: u32, o: u32, ph: u32, pw: u32) -> Winners {
    let at = ((n * O + min(o, O - 1u)) * (OH / 2u) + ph) * (OW / 2u) + pw;
    let pair = at / 2u;
    let odd = at % 2u;
    var last_winner = vec2<u32>();
    var last_gradient = vec2<u32>();
    if odd == 1u {
        last_winner = words(winners[pair + 2u]);
        last_gradient = words(d_pooled[pair + 2u]);
    }
    let pixels = four_of(odd, words(winners[pair]), words(winners[pair + 1u]), last_winner);
    let gradients = four_of(odd, words(d_pooled[pair]), words(d_pooled[pair + 1u]), last_gradient);
    let is_won = (pixels != vec4<u32>(NO_PIXEL)) & (pw + FOUR < vec4<u32>(OW / 2u)) & vec4<bool>(o < O);
    let corner = pixels - (2u * ph * OW + 2u * (pw + FOUR));
    let is_lower = corner >= vec4<u32>(OW);
    let passes = corner % OW == vec4<u32>(1u);
    return Winners(is_won, is_lower, passes, select(vec4<f32>(), bitcast<vec4<f32>>(gradients), is_won));
}

// The contribution of one window to the gradient of a row of the filter, given the rows of pixels
// from the window's left pixel and from its right one on.
fn part_of(w: Winners, i: u32, above: vec4<f32>, above_right: vec4<f32>, below: vec4<f32>, below_right: vec4<f32>) -> vec4<f32> {
    let left = select(above, below, w.is_lower[i]);
    let right = select(above_right, below_right, w.is_lower[i]);
    return w.gradients[i] * select(vec4<f32>(), select(left, right, w.passes[i]), w.is_won[i]);
}

// The gradient of a row of the filter from four windows.
fn row_gradient(w: Winners, x: Span, y: Span) -> vec4<f32> {
    let first = part_of(w, 0u, x.a, vec4<f32>(x.a.yzw, x.b.x), y.a, vec4<f32>(y.a.yzw, y.b.x));
    let second = part_of(w, 1u, vec4<f32>(x.a.zw, x.b.xy), vec4<f32>(x.a.w, x.b.xyz), vec4<f32>(y.a.zw, y.b.xy), vec4<f32>(y.a.w, y.b.xyz));
    let third = part_of(w, 2u, x.b, vec4<f32>(x.b.yzw, x.c.x), y.b, vec4<f32>(y.b.yzw, y.c.x));
    let fourth = part_of(w, 3u, vec4<f32>(x.b.zw, x.c.xy), vec4<f32>(x.b.w, x.c.xyz), vec4<f32>(y.b.zw, y.c.xy), vec4<f32>(y.b.w, y.c.xyz));
    return first + second + third + fourth;
}

// For two channels: a column per row of the filter, and the sum of the gradients.
struct Sums {
    kernels: array<mat4x4<f32>, 2>,
    totals: vec2<f32>,
}

// The sums of this many lanes are kept at once: those of all could exceed the workgroup's memory.
const STAGED: u32 = 64u;

var<workgroup> lane_sums: array<Sums, STAGED>;

// The contribution of four windows of two channels.
fn gradients_of(image: Image, n: u32, o: u32, c: u32, ph: u32, pw: u32) -> Sums {
    let one = winners_at(n, o, ph, pw);
    let two = winners_at(n, o + 1u, ph, pw);
    let h = 2u * ph - PAD_H;
    let w = 2u * pw - PAD_W;
    var sums = Sums();
    sums.totals = vec2<f32>(dot(one.gradients, vec4<f32>(1.0)), dot(two.gradients, vec4<f32>(1.0)));
    let row0 = span_at(image, c, h, w);
    let row1 = span_at(image, c, h + 1u, w);
    sums.kernels[0][0] = row_gradient(one, row0, row1);
    sums.kernels[1][0] = row_gradient(two, row0, row1);
    if KH > 1u {
        let row2 = span_at(image, c, h + 2u, w);
        sums.kernels[0][1] = row_gradient(one, row1, row2);
        sums.kernels[1][1] = row_gradient(two, row1, row2);
        if KH > 2u {
            let row3 = span_at(image, c, h + 3u, w);
            sums.kernels[0][2] = row_gradient(one, row2, row3);
            sums.kernels[1][2] = row_gradient(two, row2, row3);
            if KH > 3u {
                let row4 = span_at(image, c, h + 4u, w);
                sums.kernels[0][3] = row_gradient(one, row3, row4);
                sums.kernels[1][3] = row_gradient(two, row3, row4);
            }
        }
    }
    return sums;
}

fn sum_of(a: Sums, b: Sums) -> Sums {
    return Sums(array(a.kernels[0] + b.kernels[0], a.kernels[1] + b.kernels[1]), a.totals + b.totals);
}

// One workgroup computes two filters' gradients, (o, c) and (o + 1, c): each lane sums a part of
// the windows, four adjacent ones at a time; the lanes' sums are added, STAGED at a time; then one
// lane per element adds those.
@compute @workgroup_size(WORKGROUP_SIZE)
fn conv_pool_backward_weight(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let kernel = workgroup_index(workgroup, workgroups);
    let first = kernel / C * 2u;
    let c = kernel % C;
    let tiles_w = (OW / 2u + 3u) / 4u;
    let tiles = (OH / 2u) * tiles_w;
    var sums = Sums();
    if first < O {
        for (var i = lane; i < BATCH * tiles; i += WORKGROUP_SIZE) {
            let n = i / tiles;
            let of_windows = gradients_of(image_at(n), n, first, c, i / tiles_w % (OH / 2u), i % tiles_w * 4u);
            sums = sum_of(sums, of_windows);
        }
    }
    for (var staged = 0u; staged < WORKGROUP_SIZE; staged += STAGED) {
        if lane / STAGED * STAGED == staged {
            if staged > 0u {
                sums = sum_of(lane_sums[lane % STAGED], sums);
            }
            lane_sums[lane % STAGED] = sums;
        }
        workgroupBarrier();
    }
    let o = first + lane / 16u;
    let kh = lane / 4u % 4u;
    let kw = lane % 4u;
    if lane < 32u && o < O && kh < KH && kw < KW {
        let at = ((o * C + c) * KH + kh) * KW + kw;
        var sum = select(0.0, d_weight[at], ACCUMULATE);
        for (var i = 0u; i < STAGED; i++) {
            sum += lane_sums[i].kernels[lane / 16u][kh][kw];
        }
        d_weight[at] = sum;
    }
    let own = lane % 32u;
    if c == 0u && lane / 32u == 1u && own < 2u && first + own < O {
        var sum = select(0.0, d_bias[first + own], ACCUMULATE);
        for (var i = 0u; i < STAGED; i++) {
            sum += lane_sums[i].totals[own];
        }
        d_bias[first + own] = sum;
    }
}
