// Picks the rows of a shuffled batch from the byte data set and scales them to [0, 1]. One
// invocation takes one pixel; that of a row's first pixel takes the label too.

// A product, unlike a quotient, is correctly rounded on every adapter.
const SCALE: f32 = 1.0 / 255.0;

override ROWS: u32; // N
override SAMPLE_LEN: u32; // C·H·W
override WORKGROUP_SIZE: u32 = 64;

struct Step {
    offset: u32,
    rows: u32,
    slot: u32,
    learning_rate: f32,
    inverse_rows: f32,
}

@group(0) @binding(0) var<storage, read> images: array<u32>; // (samples, C·H·W) bytes, four to a word
@group(0) @binding(1) var<storage, read> labels: array<u32>; // (samples) bytes, four to a word
@group(0) @binding(2) var<storage, read> order: array<u32>; // (samples)
@group(0) @binding(3) var<storage, read_write> batch_images: array<f32>; // (N, C·H·W)
@group(0) @binding(4) var<storage, read_write> batch_labels: array<u32>; // (N)
@group(1) @binding(0) var<uniform> this_step: Step;

fn byte_of(word: u32, index: u32) -> u32 {
    return (word >> (index % 4u * 8u)) & 0xffu;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gather(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = id.x + id.y * workgroups.x * WORKGROUP_SIZE;
    if index >= ROWS * SAMPLE_LEN {
        return;
    }
    let row = index / SAMPLE_LEN;
    var pixel = 0u;
    var label = 0u;
    if row < this_step.rows {
        let sample = order[this_step.offset + row];
        let at = sample * SAMPLE_LEN + index % SAMPLE_LEN;
        pixel = byte_of(images[at / 4u], at);
        label = byte_of(labels[sample / 4u], sample);
    }
    batch_images[index] = f32(pixel) * SCALE;
    if index % SAMPLE_LEN == 0u {
        batch_labels[row] = label;
    }
}
