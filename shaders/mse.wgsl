// Mean squared error against one-hot targets, and its gradient. One invocation per row.
//
// Preludes: invocation, step.

override ROWS: u32; // N
override CLASSES: u32; // C
override SCALE: f32; // 2/C for the mean over all elements, 2 for the sum over classes

@group(0) @binding(0) var<storage, read> logits: array<f32>; // (N, C)
@group(0) @binding(1) var<storage, read> labels: array<u32>; // (N)
@group(0) @binding(2) var<storage, read_write> row_loss: array<f32>; // (N)
@group(0) @binding(3) var<storage, read_write> d_logits: array<f32>; // (N, C)

@compute @workgroup_size(WORKGROUP_SIZE)
fn mse(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let row = invocation(id, workgroups);
    if row >= ROWS {
        return;
    }
    let is_real = row < this_step.rows;
    var loss = 0.0;
    for (var c = 0u; c < CLASSES; c++) {
        let index = row * CLASSES + c;
        let error = logits[index] - select(0.0, 1.0, labels[row] == c);
        loss += error * error;
        d_logits[index] = select(0.0, error * (SCALE * this_step.inverse_rows), is_real);
    }
    row_loss[row] = select(0.0, loss, is_real);
}
