// Dropout, forward and backward: four elements per invocation, from one draw of four random words;
// or of whole planes, one element per invocation.
//
// Preludes: invocation, step, loads, philox.

override LEN: u32; // N·F
override THRESHOLD: u32; // words below it drop an element
override SCALE: f32; // 1 / (1 − p)
override STREAM: u32; // the layer's random stream
override AREA: u32 = 1; // consecutive elements that share a draw

@group(0) @binding(0) var<storage, read> input: array<f32>; // (N, F), or the gradient of the output
@group(0) @binding(1) var<storage, read_write> output: array<f32>; // (N, F), or the gradient of the input

@group(0) @binding(0) var<storage, read> input_4: array<Four>; // (N, F)
@group(0) @binding(1) var<storage, read_write> output_4: array<Four>; // (N, F)

// Whether each of four elements is kept in this step.
fn kept(four: u32) -> vec4<bool> {
    let counter = vec4<u32>(four, STREAM, this_step.number, this_step.epoch);
    return philox(this_step.seed, counter) >= vec4<u32>(THRESHOLD);
}

fn drop_or_scale(index: u32, is_kept: bool) {
    if index < LEN {
        output[index] = select(0.0, input[index] * SCALE, is_kept);
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn dropout(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let four = invocation(id, workgroups);
    if four >= (LEN + 3u) / 4u {
        return;
    }
    let are_kept = kept(four);
    drop_or_scale(4u * four, are_kept.x);
    drop_or_scale(4u * four + 1u, are_kept.y);
    drop_or_scale(4u * four + 2u, are_kept.z);
    drop_or_scale(4u * four + 3u, are_kept.w);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn dropout_4(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let four = invocation(id, workgroups);
    if four >= LEN / 4u {
        return;
    }
    output_4[four] = pack(select(vec4<f32>(), unpack(input_4[four]) * SCALE, kept(four)));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn dropout_planes(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    let plane = index / AREA;
    let are_kept = kept(plane / 4u);
    drop_or_scale(index, are_kept[plane % 4u]);
}
