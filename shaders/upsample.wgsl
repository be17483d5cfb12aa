// Resizes planes to the nearest pixel or bilinearly, and the gradients: one invocation per element
// of the result, so that each pixel sums, in a fixed order, what the outputs that read it give.
// Source indices are computed in integers, so that they are exact.
//
// Preludes: invocation.

override PLANES: u32; // N·C
override H: u32;
override W: u32;
override OH: u32;
override OW: u32;
// OH/H and OW/W in lowest terms.
override UP_H: u32;
override DOWN_H: u32;
override UP_W: u32;
override DOWN_W: u32;

@group(0) @binding(0) var<storage, read> input_words: array<u32>; // (N·C, H, W), the bits of f32
@group(0) @binding(1) var<storage, read_write> output_words: array<u32>; // (N·C, OH, OW), the same

@group(0) @binding(0) var<storage, read> input: array<f32>; // (N·C, H, W)
@group(0) @binding(1) var<storage, read_write> output: array<f32>; // (N·C, OH, OW)

@group(0) @binding(0) var<storage, read> d_output: array<f32>; // (N·C, OH, OW)
@group(0) @binding(1) var<storage, read_write> d_input: array<f32>; // (N·C, H, W)

// Half-open.
struct Span {
    begin: u32,
    end: u32,
}

// The outputs whose nearest pixel is `at`, along an axis: ⌊o·down/up⌋ = at.
fn readers_of_nearest(at: u32, up: u32, down: u32) -> Span {
    return Span((at * up + down - 1u) / down, ((at + 1u) * up + down - 1u) / down);
}

// The pixels `before` and `after` between which an output lies, and their weights in units of
// 1/(2·up).
struct Mixture {
    before: u32,
    after: u32,
    weight_before: u32,
    weight_after: u32,
}

// PyTorch's source position, (o + ½)·down/up − ½ and at least 0, in units of 1/(2·up).
fn mixture(o: u32, up: u32, down: u32, extent: u32) -> Mixture {
    let place = max((2u * o + 1u) * down, up) - up;
    let before = place / (2u * up);
    let rest = place % (2u * up);
    return Mixture(before, min(before + 1u, extent - 1u), 2u * up - rest, rest);
}

fn weight(part: u32, up: u32) -> f32 {
    return f32(part) / f32(2u * up);
}

// The outputs that read pixel `at`: those between the pixel before it and the one after it.
fn readers_of_mixture(at: u32, up: u32, down: u32, outputs: u32) -> Span {
    let half = 2u * down;
    var begin = 0u;
    if at > 1u {
        begin = (max((2u * at - 1u) * up, down) - down + half - 1u) / half;
    }
    let end = (max((2u * at + 3u) * up, down) - down + half - 1u) / half;
    return Span(begin, min(end, outputs));
}

// The weight of pixel `at` in a mix, in units of 1/(2·up).
fn part_of(at: u32, mixed: Mixture) -> u32 {
    return select(0u, mixed.weight_before, mixed.before == at)
        + select(0u, mixed.weight_after, mixed.after == at);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn upsample_nearest(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= PLANES * OH * OW {
        return;
    }
    let h = index / OW % OH * DOWN_H / UP_H;
    let w = index % OW * DOWN_W / UP_W;
    output_words[index] = input_words[(index / (OH * OW) * H + h) * W + w];
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn upsample_nearest_backward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= PLANES * H * W {
        return;
    }
    let rows = readers_of_nearest(index / W % H, UP_H, DOWN_H);
    let columns = readers_of_nearest(index % W, UP_W, DOWN_W);
    let first = index / (H * W) * OH;
    var sum = 0.0;
    for (var oh = rows.begin; oh < rows.end; oh++) {
        for (var ow = columns.begin; ow < columns.end; ow++) {
            sum += d_output[(first + oh) * OW + ow];
        }
    }
    d_input[index] = sum;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn upsample_bilinear(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= PLANES * OH * OW {
        return;
    }
    let rows = mixture(index / OW % OH, UP_H, DOWN_H, H);
    let columns = mixture(index % OW, UP_W, DOWN_W, W);
    let above = (index / (OH * OW) * H + rows.before) * W;
    let below = (index / (OH * OW) * H + rows.after) * W;
    let left = weight(columns.weight_before, UP_W);
    let right = weight(columns.weight_after, UP_W);
    let upper = left * input[above + columns.before] + right * input[above + columns.after];
    let lower = left * input[below + columns.before] + right * input[below + columns.after];
    output[index] = weight(rows.weight_before, UP_H) * upper
        + weight(rows.weight_after, UP_H) * lower;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn upsample_bilinear_backward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= PLANES * H * W {
        return;
    }
    let h = index / W % H;
    let w = index % W;
    let rows = readers_of_mixture(h, UP_H, DOWN_H, OH);
    let columns = readers_of_mixture(w, UP_W, DOWN_W, OW);
    let first = index / (H * W) * OH;
    var sum = 0.0;
    for (var oh = rows.begin; oh < rows.end; oh++) {
        let vertical = weight(part_of(h, mixture(oh, UP_H, DOWN_H, H)), UP_H);
        var of_row = 0.0;
        for (var ow = columns.begin; ow < columns.end; ow++) {
            let horizontal = weight(part_of(w, mixture(ow, UP_W, DOWN_W, W)), UP_W);
            of_row += horizontal * d_output[(first + oh) * OW + ow];
        }
        sum += vertical * of_row;
    }
    d_input[index] = sum;
}
