// Adds partial results, the first part first: the same order, and so the same bits, every time.

override PARTS: u32;
override LEN: u32;
override ACCUMULATE: bool;
override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> partials: array<f32>; // (PARTS, LEN)
@group(0) @binding(1) var<storage, read_write> sum: array<f32>; // (LEN)

// One invocation adds the parts of one element.
@compute @workgroup_size(WORKGROUP_SIZE)
fn reduce_sum(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = id.x + id.y * workgroups.x * WORKGROUP_SIZE;
    if index >= LEN {
        return;
    }
    var total = 0.0;
    if ACCUMULATE {
        total = sum[index];
    }
    for (var part = 0u; part < PARTS; part++) {
        total += partials[part * LEN + index];
    }
    sum[index] = total;
}
