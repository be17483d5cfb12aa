// Unrolls every window of an image into a column. One invocation writes one element, or four
// adjacent ones.
//
// Preludes: invocation, loads, window.

override PLANES: u32; // N·C

@group(0) @binding(0) var<storage, read> input: array<f32>; // (N·C, H, W)
@group(0) @binding(1) var<storage, read_write> columns: array<f32>; // (N·C, KH·KW, OH·OW)
@group(0) @binding(1) var<storage, read_write> columns_4: array<Four>; // (N·C, KH·KW, OH·OW)

@compute @workgroup_size(WORKGROUP_SIZE)
fn im2col(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= PLANES * KH * KW * OH * OW {
        return;
    }
    let position = index % (OH * OW);
    let cell = index / (OH * OW) % (KH * KW);
    let plane = index / (OH * OW * KH * KW);

    // Negative indices wrap past H and W, so one comparison finds the padding on both sides.
    let h = position / OW * STRIDE_H + cell / KW * DILATION_H - PAD_H;
    let w = position % OW * STRIDE_W + cell % KW * DILATION_W - PAD_W;
    var value = 0.0;
    if h < H && w < W {
        value = input[(plane * H + h) * W + w];
    }
    columns[index] = value;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn im2col_4(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    let quads = OH * OW / 4u;
    if index >= PLANES * KH * KW * quads {
        return;
    }
    let position = index % quads * 4u + vec4<u32>(0u, 1u, 2u, 3u);
    let cell = index / quads % (KH * KW);
    let plane = index / (quads * KH * KW);
    let h = position / OW * STRIDE_H + cell / KW * DILATION_H - PAD_H;
    let w = position % OW * STRIDE_W + cell % KW * DILATION_W - PAD_W;
    let inside = (h < vec4<u32>(H)) & (w < vec4<u32>(W));
    let at = select(vec4<u32>(), (plane * H + h) * W + w, inside);
    let values = vec4<f32>(input[at.x], input[at.y], input[at.z], input[at.w]);
    columns_4[index] = pack(select(vec4<f32>(), values, inside));
}
