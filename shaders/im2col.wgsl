// Unrolls every window of an image into a column. One invocation writes one element.

override PLANES: u32; // N·C
override H: u32;
override W: u32;
override OH: u32;
override OW: u32;
override KH: u32;
override KW: u32;
override STRIDE_H: u32;
override STRIDE_W: u32;
override PAD_H: u32;
override PAD_W: u32;
override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> input: array<f32>; // (N·C, H, W)
@group(0) @binding(1) var<storage, read_write> columns: array<f32>; // (N·C, KH·KW, OH·OW)

@compute @workgroup_size(WORKGROUP_SIZE)
fn im2col(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = id.x + id.y * workgroups.x * WORKGROUP_SIZE;
    if index >= PLANES * KH * KW * OH * OW {
        return;
    }
    let position = index % (OH * OW);
    let cell = index / (OH * OW) % (KH * KW);
    let plane = index / (OH * OW * KH * KW);

    // Below zero wraps past H and W, so one comparison finds the padding on both sides.
    let h = position / OW * STRIDE_H + cell / KW - PAD_H;
    let w = position % OW * STRIDE_W + cell % KW - PAD_W;
    var value = 0.0;
    if h < H && w < W {
        value = input[(plane * H + h) * W + w];
    }
    columns[index] = value;
}
