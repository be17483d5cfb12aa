// Gathers an array of each row of a shuffled batch from the data set: words as they are, or bytes as
// words, or bytes scaled to [0, 1]. One invocation per element.
//
// Preludes: invocation, step.

// A product, unlike a quotient, is correctly rounded on every adapter.
const SCALE: f32 = 1.0 / 255.0;

override ROWS: u32; // N
override LEN: u32; // elements of a row
override BYTES: bool; // four to a word
override SCALED: bool; // bytes become floats

@group(0) @binding(0) var<storage, read> values: array<u32>; // (samples, LEN)
@group(0) @binding(1) var<storage, read> order: array<u32>; // (samples)
@group(0) @binding(2) var<storage, read_write> gathered: array<u32>; // (N, LEN), floats by their bits

fn value_at(index: u32) -> u32 {
    if !BYTES {
        return values[index];
    }
    let byte = (values[index / 4u] >> (index % 4u * 8u)) & 0xffu;
    return select(byte, bitcast<u32>(f32(byte) * SCALE), SCALED);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gather_array(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    let row = index / LEN;
    if row >= ROWS {
        return;
    }
    var value = 0u;
    if row < this_step.rows {
        value = value_at(order[this_step.offset + row] * LEN + index % LEN);
    }
    gathered[index] = value;
}
