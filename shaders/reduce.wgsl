// Adds partial results in their order, so that the bits are the same every time.
//
// Preludes: invocation.

override GROUPS: u32; // independent sums
override PARTS: u32; // terms per group
override LEN: u32;
override SPLIT: u32; // partial sums per group, each over a run of its parts
override ACCUMULATE: bool;

@group(0) @binding(0) var<storage, read> partials: array<f32>; // (GROUPS, PARTS, LEN)
@group(0) @binding(1) var<storage, read_write> sum: array<f32>; // (GROUPS, SPLIT, LEN)

// One invocation per element of the sum.
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
