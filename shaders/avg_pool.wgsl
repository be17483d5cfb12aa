// The mean of each bin of each plane, and its gradient. Bins are windows, or they cut a plane into
// OH × OW parts, which overlap by a pixel where the extents do not divide.
//
// Preludes: invocation.

override PLANES: u32; // N·C
override H: u32;
override W: u32;
override OH: u32;
override OW: u32;
override ADAPTIVE: bool;
// H/OH and W/OW in lowest terms, if adaptive.
override PIXELS_H: u32;
override BINS_H: u32;
override PIXELS_W: u32;
override BINS_W: u32;
// Windows otherwise.
override KH: u32;
override KW: u32;
override STRIDE_H: u32;
override STRIDE_W: u32;
override PAD_H: u32;
override PAD_W: u32;
override COUNT_PADDING: bool; // whether the divisor is KH·KW, or the number of pixels

@group(0) @binding(0) var<storage, read> input: array<f32>; // (N·C, H, W)
@group(0) @binding(1) var<storage, read_write> output: array<f32>; // (N·C, OH, OW)

@group(0) @binding(0) var<storage, read> d_output: array<f32>; // (N·C, OH, OW)
@group(0) @binding(1) var<storage, read_write> d_input: array<f32>; // (N·C, H, W)

// Pixels or bins, from `begin` to before `end`.
struct Block {
    begin: vec2<u32>,
    end: vec2<u32>,
}

fn quotient_up(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return (a + b - 1u) / b;
}

// The pixels of a bin.
fn pixels_of(bin: vec2<u32>) -> Block {
    if ADAPTIVE {
        let pixels = vec2<u32>(PIXELS_H, PIXELS_W);
        let bins = vec2<u32>(BINS_H, BINS_W);
        return Block(bin * pixels / bins, quotient_up((bin + 1u) * pixels, bins));
    }
    let padding = vec2<u32>(PAD_H, PAD_W);
    let begin = bin * vec2<u32>(STRIDE_H, STRIDE_W);
    let end = begin + vec2<u32>(KH, KW);
    return Block(
        max(begin, padding) - padding,
        min(end, padding + vec2<u32>(H, W)) - padding,
    );
}

// The bins that contain a pixel.
fn bins_over(pixel: vec2<u32>) -> Block {
    if ADAPTIVE {
        let pixels = vec2<u32>(PIXELS_H, PIXELS_W);
        let bins = vec2<u32>(BINS_H, BINS_W);
        return Block(pixel * bins / pixels, quotient_up((pixel + 1u) * bins, pixels));
    }
    let stride = vec2<u32>(STRIDE_H, STRIDE_W);
    let kernel = vec2<u32>(KH, KW);
    let place = pixel + vec2<u32>(PAD_H, PAD_W);
    // From the first window that ends after the pixel to the last that begins at it.
    return Block(
        quotient_up(max(place + 1u, kernel) - kernel, stride),
        min(place / stride + 1u, vec2<u32>(OH, OW)),
    );
}

fn divisor(pixels: Block) -> f32 {
    let size = select(pixels.end - pixels.begin, vec2<u32>(KH, KW), COUNT_PADDING);
    return f32(size.x * size.y);
}

// One invocation per bin.
@compute @workgroup_size(WORKGROUP_SIZE)
fn avg_pool_forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= PLANES * OH * OW {
        return;
    }
    let pixels = pixels_of(vec2<u32>(index / OW % OH, index % OW));
    let plane = index / (OH * OW) * H;
    var sum = 0.0;
    for (var h = pixels.begin.x; h < pixels.end.x; h++) {
        for (var w = pixels.begin.y; w < pixels.end.y; w++) {
            sum += input[(plane + h) * W + w];
        }
    }
    output[index] = sum / divisor(pixels);
}

// One invocation per pixel, which sums over the bins that contain it.
@compute @workgroup_size(WORKGROUP_SIZE)
fn avg_pool_backward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= PLANES * H * W {
        return;
    }
    let bins = bins_over(vec2<u32>(index / W % H, index % W));
    let plane = index / (H * W) * OH;
    var sum = 0.0;
    for (var oh = bins.begin.x; oh < bins.end.x; oh++) {
        for (var ow = bins.begin.y; ow < bins.end.y; ow++) {
            let size = divisor(pixels_of(vec2<u32>(oh, ow)));
            sum += d_output[(plane + oh) * OW + ow] / size;
        }
    }
    d_input[index] = sum;
}
