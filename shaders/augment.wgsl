// Gathers the images of a shuffled batch from the byte data set, each changed at random: moved,
// flipped, rotated and scaled (bilinear), brightened, with a square cut out, mixed with another. All
// in integers, so that every adapter and the reference get the same bits. One invocation per pixel.
//
// Preludes: invocation, step, philox.

override ROWS: u32; // N
override C: u32;
override H: u32;
override W: u32;
override FLIP: bool; // left to right, half of the images
override SHIFT_H: u32; // at most so many pixels
override SHIFT_W: u32;
override ROTATION: u32; // at most, in turns of 2¹⁶
override ZOOM_LEAST: u32; // the least distance between source pixels, in 2⁻¹²
override ZOOM_SPAN: u32;
override CONTRAST_LEAST: u32; // in 2⁻¹⁰
override CONTRAST_SPAN: u32;
override BRIGHTNESS: u32; // at most, in 2⁻⁶ of a level
override CUTOUT: u32; // extent of the square
override FILL: u32; // the level outside of the image, and in the square

@group(0) @binding(0) var<storage, read> images: array<u32>; // (samples, C, H, W) bytes, four to a word
@group(0) @binding(1) var<storage, read> order: array<u32>; // (samples)
@group(0) @binding(2) var<storage, read_write> batch: array<f32>; // (N, C, H, W)

// The levels 0 to 255 times 2¹⁶, as floats from 0 to 1.
const SCALE: f32 = 1.0 / 255.0 / 65536.0;

// Random streams, counted down from the other end than those of layers.
const STREAM: u32 = 0xffffffffu;

// Sine and cosine of an angle in turns of 2¹⁶, times 2¹⁵: Taylor's polynomials up to 45°.
fn sine_and_cosine(angle: i32) -> vec2<i32> {
    let quarter = (angle + 8192) >> 14u;
    let turn = angle - quarter * 16384;
    let x = (turn * 205887) >> 16u; // π·2¹⁶
    let square = (x * x) >> 15u;
    let fourth = (square * square) >> 15u;
    let sine = x - (((x * square) >> 15u) / 6) + (((x * fourth) >> 15u) / 120);
    let cosine = 32768 - square / 2 + fourth / 24 - ((fourth * square) >> 15u) / 720;
    switch u32(quarter) & 3u {
        case 0u: {
            return vec2<i32>(sine, cosine);
        }
        case 1u: {
            return vec2<i32>(cosine, -sine);
        }
        case 2u: {
            return vec2<i32>(-sine, -cosine);
        }
        default: {
            return vec2<i32>(-cosine, sine);
        }
    }
}

// A number below `end`, which is at most 2¹⁶, from a random word.
fn below(word: u32, end: u32) -> u32 {
    return ((word >> 16u) * end) >> 16u;
}

// A number from -most to most.
fn around_zero(word: u32, most: u32) -> i32 {
    return i32(below(word, 2u * most + 1u)) - i32(most);
}

fn words_of(row: u32, stream: u32) -> vec4<u32> {
    let counter = vec4<u32>(row, STREAM - stream, this_step.number, this_step.epoch);
    return philox(this_step.seed, counter);
}

// How a row's image is changed.
struct Change {
    origin: vec2<i32>, // x and y of the source of the pixel, in 2⁻¹⁶ of a pixel
    is_cut: bool,
    contrast: i32, // in 2⁻¹⁰
    brightness: i32, // in 2⁻⁶ of a level
}

fn change_of(row: u32, y: u32, x: u32) -> Change {
    let place = words_of(row, 0u);
    let form = words_of(row, 1u);
    let light = words_of(row, 2u);
    // Twice the distance from the centre.
    var from_centre = 2 * vec2<i32>(i32(x), i32(y)) - vec2<i32>(i32(W) - 1, i32(H) - 1);
    if FLIP && (place.x >> 31u) == 1u {
        from_centre.x = -from_centre.x;
    }
    let zoom = i32(ZOOM_LEAST + below(form.x, ZOOM_SPAN + 1u));
    let turned = (sine_and_cosine(around_zero(place.w, ROTATION)) * zoom) >> vec2<u32>(12u);
    let source = vec2<i32>(
        turned.y * from_centre.x + turned.x * from_centre.y,
        turned.y * from_centre.y - turned.x * from_centre.x,
    );
    let centre = vec2<i32>(i32(W) - 1, i32(H) - 1) * 32768;
    let shift = vec2<i32>(around_zero(place.z, SHIFT_W), around_zero(place.y, SHIFT_H)) * 65536;
    let square = vec2<i32>(i32(below(form.z, W)), i32(below(form.y, H))) - i32(CUTOUT / 2u);
    let within = vec2<i32>(i32(x), i32(y)) - square;
    return Change(
        source + centre - shift,
        all(within >= vec2<i32>(0)) && all(within < vec2<i32>(i32(CUTOUT))),
        i32(CONTRAST_LEAST + below(light.x, CONTRAST_SPAN + 1u)),
        around_zero(light.y, BRIGHTNESS),
    );
}

// The level of a pixel of a plane, FILL outside of it. As words, places below zero are large. One
// comparison of vectors, not conditions joined by `||`: the time and memory in which SwiftShader
// compiles these grow exponentially with their number, to gigabytes for some variants.
fn level(first: u32, x: i32, y: i32) -> u32 {
    if any(vec2<u32>(u32(x), u32(y)) >= vec2<u32>(W, H)) {
        return FILL;
    }
    let index = first + u32(y) * W + u32(x);
    return (images[index / 4u] >> (index % 4u * 8u)) & 0xffu;
}

// A pixel of a plane after the change: its level times 2¹⁶.
fn changed(first: u32, change: Change) -> u32 {
    if change.is_cut {
        return FILL << 16u;
    }
    let pixel = change.origin >> vec2<u32>(16u);
    let part = (vec2<u32>(change.origin) & vec2<u32>(0xffffu)) >> vec2<u32>(8u);
    let rest = vec2<u32>(256u) - part;
    let value = level(first, pixel.x, pixel.y) * rest.x * rest.y
        + level(first, pixel.x + 1, pixel.y) * part.x * rest.y
        + level(first, pixel.x, pixel.y + 1) * rest.x * part.y
        + level(first, pixel.x + 1, pixel.y + 1) * part.x * part.y;
    if change.contrast == 1024 && change.brightness == 0 {
        return value;
    }
    let grey = 127 * 256 + 128;
    let lit = (((i32((value + 128u) >> 8u) - grey) * change.contrast) >> 10u) + grey;
    return u32(clamp(lit + change.brightness * 4, 0, 255 * 256)) << 8u;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn augment(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    let row = index / (H * W);
    if row >= ROWS {
        return;
    }
    let pixel = index % (H * W);
    let y = pixel / W;
    let x = pixel % W;
    let is_real = row < this_step.rows;
    // A step that does not augment takes every pixel as it is.
    var change = Change(vec2<i32>(i32(x), i32(y)) * 65536, false, 1024, 0);
    var partner_change = change;
    var sample = 0u;
    var partner = 0u;
    if is_real {
        sample = order[this_step.offset + row];
        let other = (row + 1u) % this_step.rows;
        partner = order[this_step.offset + other];
        if this_step.augments == 1u {
            change = change_of(row, y, x);
            if this_step.mix < 256u {
                partner_change = change_of(other, y, x);
            }
        }
    }
    for (var c = 0u; c < C; c++) {
        var value = 0u;
        if is_real {
            value = changed((sample * C + c) * H * W, change);
            if this_step.mix < 256u {
                let mixed = changed((partner * C + c) * H * W, partner_change);
                value = (value * this_step.mix + mixed * (256u - this_step.mix) + 128u) >> 8u;
            }
        }
        batch[((row * C + c) * H + y) * W + x] = f32(value) * SCALE;
    }
}
