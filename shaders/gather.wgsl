// Gathers the rows of a shuffled batch from the byte data set and scales them to [0, 1]. One
// invocation takes four pixels; that of a row's first pixels also takes the label.
//
// Preludes: invocation, step.

// A product, unlike a quotient, is correctly rounded on every adapter.
const SCALE: f32 = 1.0 / 255.0;

override ROWS: u32; // N
override SAMPLE_LEN: u32; // C·H·W

@group(0) @binding(0) var<storage, read> images: array<u32>; // (samples, C·H·W) bytes, four to a word
@group(0) @binding(1) var<storage, read> labels: array<u32>; // (samples) bytes, four to a word
@group(0) @binding(2) var<storage, read> order: array<u32>; // (samples)
@group(0) @binding(3) var<storage, read_write> batch_images: array<f32>; // (N, C·H·W)
@group(0) @binding(4) var<storage, read_write> batch_labels: array<u32>; // (N)

fn byte_of(word: u32, index: u32) -> u32 {
    return (word >> (index % 4u * 8u)) & 0xffu;
}

// Four pixels of a sample from `at` on; the caller ignores those past its end.
fn pixels_of(at: u32) -> vec4<u32> {
    if SAMPLE_LEN % 4u == 0u {
        let word = images[at / 4u];
        return vec4<u32>(word, word >> 8u, word >> 16u, word >> 24u) & vec4<u32>(0xffu);
    }
    let bytes = at + vec4<u32>(0u, 1u, 2u, 3u);
    let words = bytes / 4u;
    let first = vec2<u32>(byte_of(images[words.x], bytes.x), byte_of(images[words.y], bytes.y));
    return vec4<u32>(first, byte_of(images[words.z], bytes.z), byte_of(images[words.w], bytes.w));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gather(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let quads = (SAMPLE_LEN + 3u) / 4u;
    let index = invocation(id, workgroups);
    let row = index / quads;
    if row >= ROWS {
        return;
    }
    let first = index % quads * 4u;
    var sample = 0u;
    var pixels = vec4<u32>();
    if row < this_step.rows {
        sample = order[this_step.offset + row];
        pixels = pixels_of(sample * SAMPLE_LEN + first);
    }
    let values = vec4<f32>(pixels) * SCALE;
    let at = row * SAMPLE_LEN + first;
    batch_images[at] = values.x;
    if SAMPLE_LEN % 4u == 0u || first + 1u < SAMPLE_LEN {
        batch_images[at + 1u] = values.y;
    }
    if SAMPLE_LEN % 4u == 0u || first + 2u < SAMPLE_LEN {
        batch_images[at + 2u] = values.z;
    }
    if SAMPLE_LEN % 4u == 0u || first + 3u < SAMPLE_LEN {
        batch_images[at + 3u] = values.w;
    }
    if first == 0u && row < this_step.rows {
        batch_labels[row] = byte_of(labels[sample / 4u], sample);
    } else if first == 0u {
        batch_labels[row] = 0u;
    }
}
