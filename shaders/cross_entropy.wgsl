// Softmax cross-entropy against class labels, and its gradient. One invocation per row.
//
// Preludes: invocation, step, order, logits.

override ROWS: u32; // N

@group(0) @binding(0) var<storage, read> logits: array<u32>; // (N, C), the bits of f32
@group(0) @binding(1) var<storage, read> labels: array<u32>; // (N)
@group(0) @binding(2) var<storage, read_write> row_loss: array<u32>; // (N), the bits of f32
@group(0) @binding(3) var<storage, read_write> d_logits: array<u32>; // (N, C), the bits of f32

@compute @workgroup_size(WORKGROUP_SIZE)
fn cross_entropy(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let row = invocation(id, workgroups);
    if row >= ROWS {
        return;
    }
    let first = row * CLASSES;
    let found = softmax(first);
    let is_real = row < this_step.rows;
    for (var c = 0u; c < CLASSES; c++) {
        let share = exponential(logits[first + c], found.largest) / found.sum;
        let error = (share - select(0.0, 1.0, labels[row] == c)) * this_step.inverse_rows;
        let bits = select(NAN, bitcast<u32>(error), found.is_number);
        d_logits[first + c] = select(0u, bits, is_real);
    }
    row_loss[row] = select(0u, loss_of(found, logits[first + labels[row]]), is_real);
}
