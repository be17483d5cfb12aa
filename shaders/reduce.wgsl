// Adds partial results, the first part first: the same order, and so the same bits, every time.
//
// Preludes: invocation.

override GROUPS: u32; // sums of their own
override PARTS: u32; // of each group
override LEN: u32;
override SPLIT: u32; // sums of each group, of some of its parts each
override ACCUMULATE: bool;

@group(0) @binding(0) var<storage, read> partials: array<f32>; // (GROUPS, PARTS, LEN)
@group(0) @binding(1) var<storage, read_write> sum: array<f32>; // (GROUPS, SPLIT, LEN)

// One invocation adds the parts of one element.
@compute @workgroup_size(WORKGROUP_SIZE)
fn reduce_sum(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= GROUPS * SPLIT * LEN {
        return;
    }
    let group = index / (SPLIT * LEN);
    let split_len = (PARTS + SPLIT - 1u) / SPLIT;
    let begin = index / LEN % SPLIT * split_len;
    let end = min(begin + split_len, PARTS);
    var total = 0.0;
    if ACCUMULATE {
        total = sum[index];
    }
    for (var part = begin; part < end; part++) {
        total += partials[(group * PARTS + part) * LEN + index % LEN];
    }
    sum[index] = total;
}
