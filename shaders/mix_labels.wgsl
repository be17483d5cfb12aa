// Gathers the classes of a shuffled batch as probabilities: one at the label, or shares of the labels
// of two rows that the step mixes. One invocation per row.
//
// Preludes: invocation, step.

override ROWS: u32; // N
override CLASSES: u32; // K

@group(0) @binding(0) var<storage, read> labels: array<u32>; // (samples) bytes, four to a word
@group(0) @binding(1) var<storage, read> order: array<u32>; // (samples)
@group(0) @binding(2) var<storage, read_write> batch: array<f32>; // (N, K)

fn label_of(row: u32) -> u32 {
    let sample = order[this_step.offset + row];
    return (labels[sample / 4u] >> (sample % 4u * 8u)) & 0xffu;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn mix_labels(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let row = invocation(id, workgroups);
    if row >= ROWS {
        return;
    }
    let is_real = row < this_step.rows;
    var label = 0u;
    var other = 0u;
    if is_real {
        label = label_of(row);
        other = label_of((row + 1u) % this_step.rows);
    }
    for (var c = 0u; c < CLASSES; c++) {
        let share = select(0u, this_step.mix, c == label) + select(0u, 256u - this_step.mix, c == other);
        batch[row * CLASSES + c] = select(0.0, f32(share) * (1.0 / 256.0), is_real);
    }
}
