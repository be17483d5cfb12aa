// Convolution of stride 1, bias, rectifier and 2×2 max-pool in one kernel, and the gradient of its weights
// from the pooled gradient. Nothing of the size of the convolution's output is ever written; GATHERED, nor
// is the batch: its pixels are read where they lie in the data set.

override BATCH: u32; // N
override C: u32;
override O: u32;
override H: u32;
override W: u32;
override OH: u32; // of the convolution; the pool halves it, rounding down
override OW: u32;
override KH: u32; // at most 4
override KW: u32; // at most 4
override PAD_H: u32;
override PAD_W: u32;
override ACCUMULATE: bool;
override GATHERED: bool;
override WORKGROUP_SIZE: u32 = 64; // a power of two

struct Step {
    offset: u32,
    rows: u32,
    slot: u32,
    learning_rate: f32,
    inverse_rows: f32,
}

@group(0) @binding(0) var<storage, read> input: array<u32>; // (N, C, H, W) f32; GATHERED: (samples, C, H, W) bytes
@group(0) @binding(1) var<storage, read> weight: array<f32>; // (O, C, KH, KW)
@group(0) @binding(2) var<storage, read> bias: array<f32>; // (O)
@group(0) @binding(3) var<storage, read> order: array<u32>; // (samples), read if GATHERED
@group(0) @binding(4) var<storage, read_write> pooled: array<f32>; // (N, O, OH/2, OW/2)
@group(0) @binding(5) var<storage, read_write> indices: array<u32>; // as pooled: pixel of (OH, OW), or NO_PIXEL
@group(1) @binding(0) var<uniform> this_step: Step;

@group(0) @binding(1) var<storage, read> winners: array<u32>; // forward's indices
@group(0) @binding(2) var<storage, read> d_pooled: array<f32>; // (N, O, OH/2, OW/2)
@group(0) @binding(4) var<storage, read_write> d_weight: array<f32>; // (O, C, KH, KW)
@group(0) @binding(5) var<storage, read_write> d_bias: array<f32>; // (O)

// The index where the rectifier let nothing pass, and no gradient goes.
const NO_PIXEL: u32 = 0xffffffff;
// The largest integer: the bits of a NaN.
const NAN_KEY: i32 = 0x7fffffff;
const FOUR = vec4<u32>(0u, 1u, 2u, 3u);
// A product, unlike a quotient, is correctly rounded on every adapter.
const BYTE_SCALE: f32 = 1.0 / 255.0;

// The bits of floats above zero are ordered as integers are, and of others only the sign counts here; NaN
// comes above all. WGSL may flush subnormals and assume that no NaN occurs, so floats are not compared as
// floats.
fn keys_of(values: vec4<f32>) -> vec4<i32> {
    let bits = bitcast<vec4<i32>>(values);
    let is_nan = (bits & vec4<i32>(NAN_KEY)) > vec4<i32>(0x7f800000);
    return select(bits, vec4<i32>(NAN_KEY), is_nan);
}

struct Image {
    first: u32, // its first element in the input
    height: u32, // H; 0 for one past the step's rows, which is all padding
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

// Which of four pixels from (h, w) on are no padding. Below zero wraps past H and W.
fn inside(image: Image, h: u32, w: u32) -> vec4<bool> {
    return (w + FOUR < vec4<u32>(W)) & vec4<bool>(h < image.height);
}

// The first `count` of four floats from (h, w) on, whose first is element `at`.
fn floats_at(image: Image, h: u32, w: u32, at: u32, count: u32) -> vec4<f32> {
    let is_inside = inside(image, h, w);
    let safe = select(vec4<u32>(), at + FOUR, is_inside);
    var words = vec4<u32>(input[safe.x], 0u, 0u, 0u);
    if count > 1u {
        words.y = input[safe.y];
    }
    if count > 2u {
        words.z = input[safe.z];
    }
    if count > 3u {
        words.w = input[safe.w];
    }
    return bitcast<vec4<f32>>(select(vec4<u32>(), words, is_inside));
}

// Four bytes of a word, which lie from (h, w) on.
fn bytes_of(image: Image, h: u32, w: u32, word: u32) -> vec4<f32> {
    let bytes = vec4<u32>(word, word >> 8u, word >> 16u, word >> 24u) & vec4<u32>(0xffu);
    return vec4<f32>(select(vec4<u32>(), bytes, inside(image, h, w))) * BYTE_SCALE;
}

// Byte `at` lies in the first of two words, at the bits from `shift` on. One may lie before the first word.
struct Place {
    word: u32,
    shift: u32,
}

fn place_of(at: u32) -> Place {
    return Place((at + 4u) / 4u - 1u, at % 4u * 8u);
}

// Eight pixels of four channels: column i of a matrix is channel i.
struct Row {
    left: mat4x4<f32>,
    right: mat4x4<f32>,
}

// What eight outputs in a row read of a row of the input.
struct Span {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
}

fn span_at(image: Image, c: u32, h: u32, w: u32) -> Span {
    let at = image.first + (c * H + h) * W + w;
    if !GATHERED {
        let a = floats_at(image, h, w, at, 4u);
        let b = floats_at(image, h, w + 4u, at + 4u, 4u);
        return Span(a, b, floats_at(image, h, w + 8u, at + 8u, 4u));
    }
    let place = place_of(at);
    let low = vec3<u32>(input[place.word], input[place.word + 1u], input[place.word + 2u]);
    let high = vec3<u32>(low.yz, input[place.word + 3u]);
    let words = (low >> vec3<u32>(place.shift)) | (high << vec3<u32>(1u) << vec3<u32>(31u - place.shift));
    let a = bytes_of(image, h, w, words.x);
    let b = bytes_of(image, h, w + 4u, words.y);
    return Span(a, b, bytes_of(image, h, w + 8u, words.z));
}

// Of four channels.
fn weights_at(at: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(weight[at.x], weight[at.y], weight[at.z], weight[at.w]);
}

fn outer(channels: vec4<f32>, pixels: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(channels.x * pixels, channels.y * pixels, channels.z * pixels, channels.w * pixels);
}

// Adds one row of the kernel, whose weights are w0 to w3.
fn add_row(sums: Row, w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>, w3: vec4<f32>, x: Span) -> Row {
    var left = sums.left + outer(w0, x.a);
    var right = sums.right + outer(w0, x.b);
    if KW > 1u {
        left += outer(w1, vec4<f32>(x.a.yzw, x.b.x));
        right += outer(w1, vec4<f32>(x.b.yzw, x.c.x));
    }
    if KW > 2u {
        left += outer(w2, vec4<f32>(x.a.zw, x.b.xy));
        right += outer(w2, vec4<f32>(x.b.zw, x.c.xy));
    }
    if KW > 3u {
        left += outer(w3, vec4<f32>(x.a.w, x.b.xyz));
        right += outer(w3, vec4<f32>(x.b.w, x.c.xyz));
    }
    return Row(left, right);
}

// The first largest of a 2×2 window at (2·ph, 2·pw), if the rectifier lets it pass.
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
    // The key of what passes is its bits, or those of a NaN.
    pooled[index] = bitcast<f32>(max(best, 0));
    indices[index] = select(NO_PIXEL, winner, best > 0);
}

// Four windows of one channel, from eight outputs of two rows.
fn store_windows(n: u32, o: u32, ph: u32, pw: u32, top: vec4<f32>, top_right: vec4<f32>, bottom: vec4<f32>, bottom_right: vec4<f32>) {
    if o >= O {
        return;
    }
    let plane = n * O + o;
    let b = bias[o];
    store_window(plane, ph, pw, top.xy + b, bottom.xy + b);
    store_window(plane, ph, pw + 1u, top.zw + b, bottom.zw + b);
    store_window(plane, ph, pw + 2u, top_right.xy + b, bottom_right.xy + b);
    store_window(plane, ph, pw + 3u, top_right.zw + b, bottom_right.zw + b);
}

// One invocation computes four windows in a row of four channels.
@compute @workgroup_size(WORKGROUP_SIZE)
fn conv_pool_forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = id.x + id.y * workgroups.x * WORKGROUP_SIZE;
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
            let w0 = weights_at(at);
            let w1 = weights_at(at + min(1u, KW - 1u));
            let w2 = weights_at(at + min(2u, KW - 1u));
            let w3 = weights_at(at + min(3u, KW - 1u));
            top = add_row(top, w0, w1, w2, w3, above);
            bottom = add_row(bottom, w0, w1, w2, w3, below);
            above = below;
        }
    }
    store_windows(n, o, ph, pw, top.left[0], top.right[0], bottom.left[0], bottom.right[0]);
    store_windows(n, o + 1u, ph, pw, top.left[1], top.right[1], bottom.left[1], bottom.right[1]);
    store_windows(n, o + 2u, ph, pw, top.left[2], top.right[2], bottom.left[2], bottom.right[2]);
    store_windows(n, o + 3u, ph, pw, top.left[3], top.right[3], bottom.left[3], bottom.right[3]);
}

// What a row of the kernel reads from (h, w) on; zero on the padding. What lies past its end is of no matter.
fn row_at(image: Image, c: u32, h: u32, w: u32) -> vec4<f32> {
    let at = image.first + (c * H + h) * W + w;
    if !GATHERED {
        return floats_at(image, h, w, at, KW);
    }
    let place = place_of(at);
    let word = (input[place.word] >> place.shift) | (input[place.word + 1u] << 1u << (31u - place.shift));
    return bytes_of(image, h, w, word);
}

// A column for each row of the kernel.
var<workgroup> lane_sums: array<mat4x4<f32>, WORKGROUP_SIZE>;
var<workgroup> lane_totals: array<f32, WORKGROUP_SIZE>;

// Adds up all lanes' in lane 0: a tree whose rounds add the upper half to the lower.
fn add_lanes(lane: u32) {
    for (var half = WORKGROUP_SIZE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            lane_sums[lane] += lane_sums[lane + half];
            lane_totals[lane] += lane_totals[lane + half];
        }
    }
}

fn store_d_weight(index: u32, sum: f32) {
    if ACCUMULATE {
        d_weight[index] += sum;
    } else {
        d_weight[index] = sum;
    }
}

fn store_row(first: u32, sums: vec4<f32>) {
    store_d_weight(first, sums.x);
    if KW > 1u {
        store_d_weight(first + 1u, sums.y);
    }
    if KW > 2u {
        store_d_weight(first + 2u, sums.z);
    }
    if KW > 3u {
        store_d_weight(first + 3u, sums.w);
    }
}

// One workgroup computes one kernel, (o, c): each lane adds a part of the windows.
@compute @workgroup_size(WORKGROUP_SIZE)
fn conv_pool_backward_weight(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let kernel = workgroup.x + workgroup.y * workgroups.x;
    let o = kernel / C;
    let c = kernel % C;
    let windows = (OH / 2u) * (OW / 2u);
    var sums = mat4x4<f32>();
    var total = 0.0;
    if o < O {
        for (var i = lane; i < BATCH * windows; i += WORKGROUP_SIZE) {
            let n = i / windows;
            let at = (n * O + o) * windows + i % windows;
            let winner = winners[at];
            if winner < OH * OW {
                let gradient = d_pooled[at];
                let image = image_at(n);
                let h = winner / OW - PAD_H;
                let w = winner % OW - PAD_W;
                total += gradient;
                sums[0] += gradient * row_at(image, c, h, w);
                if KH > 1u {
                    sums[1] += gradient * row_at(image, c, h + 1u, w);
                }
                if KH > 2u {
                    sums[2] += gradient * row_at(image, c, h + 2u, w);
                }
                if KH > 3u {
                    sums[3] += gradient * row_at(image, c, h + 3u, w);
                }
            }
        }
    }
    lane_sums[lane] = sums;
    lane_totals[lane] = total;
    add_lanes(lane);
    if lane == 0u && o < O {
        for (var kh = 0u; kh < KH; kh++) {
            store_row((kernel * KH + kh) * KW, lane_sums[0][kh]);
        }
        if c == 0u {
            d_bias[o] = select(0.0, d_bias[o], ACCUMULATE) + lane_totals[0];
        }
    }
}
