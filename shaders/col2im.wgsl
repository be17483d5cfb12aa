// The adjoint of im2col: one invocation per input pixel sums the columns that read it.
//
// Preludes: invocation, window.

override PLANES: u32; // N·C

@group(0) @binding(0) var<storage, read> d_columns: array<f32>; // (N·C, KH·KW, OH·OW)
@group(0) @binding(1) var<storage, read_write> d_input: array<f32>; // (N·C, H, W)

@compute @workgroup_size(WORKGROUP_SIZE)
fn col2im(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= PLANES * H * W {
        return;
    }
    let h = index / W % H + PAD_H;
    let w = index % W + PAD_W;
    let plane = index / (H * W);

    // Cell (kh, kw) read this pixel from position ((h, w) − dilation · (kh, kw)) / stride, if that is
    // an integer.
    var sum = 0.0;
    for (var kh = 0u; kh < KH; kh++) {
        let cell_h = kh * DILATION_H;
        let oh = (h - cell_h) / STRIDE_H;
        if h < cell_h || (h - cell_h) % STRIDE_H != 0u || oh >= OH {
            continue;
        }
        for (var kw = 0u; kw < KW; kw++) {
            let cell_w = kw * DILATION_W;
            let ow = (w - cell_w) / STRIDE_W;
            if w < cell_w || (w - cell_w) % STRIDE_W != 0u || ow >= OW {
                continue;
            }
            sum += d_columns[((plane * KH + kh) * KW + kw) * OH * OW + oh * OW + ow];
        }
    }
    d_input[index] = sum;
}
