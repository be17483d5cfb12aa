// Convolution and its gradients as implicit GEMM, in the tiles of a workgroup, for GPUs: im2col's
// columns are read directly from the image into workgroup memory.
//
// Preludes: invocation, window, convolution, relu, tile.

override FAN_IN: u32 = C * KH * KW;
override OUT_AREA: u32 = OH * OW;
override IN_AREA: u32 = H * W;
override POSITIONS: u32 = BATCH * OUT_AREA;
override PIXELS: u32 = BATCH * IN_AREA;

// One element of a slice: row m of A, or column n of B, and term i.
fn put_a(m: u32, i: u32, value: f32) {
    a_slice[i * A_PITCH + m / 4u][m % 4u] = value;
}

fn put_b(n: u32, i: u32, value: f32) {
    b_slice[i * B_PITCH + n / 4u][n % 4u] = value;
}

// The pixel under a cell (c, kh, kw) of the filter at an output position of all images; zero on the
// padding. Negative indices wrap past H and W.
fn input_under(position: u32, cell: u32) -> f32 {
    let h = position / OW % OH * STRIDE_H + cell / KW % KH * DILATION_H - PAD_H;
    let w = position % OW * STRIDE_W + cell % KW * DILATION_W - PAD_W;
    if position >= POSITIONS || cell >= FAN_IN || h >= H || w >= W {
        return 0.0;
    }
    return input[((position / OUT_AREA * C + cell / (KH * KW)) * H + h) * W + w];
}

// The position of the output whose window has a cell (kh, kw) of the filter on a pixel of all
// images; OUT_AREA if there is none.
fn position_over(pixel: u32, cell: u32) -> u32 {
    let h = pixel / W % H + PAD_H - cell / KW % KH * DILATION_H;
    let w = pixel % W + PAD_W - cell % KW * DILATION_W;
    let oh = h / STRIDE_H;
    let ow = w / STRIDE_W;
    let covered = oh < OH && ow < OW && oh * STRIDE_H == h && ow * STRIDE_W == w;
    return select(OUT_AREA, oh * OW + ow, covered);
}

// The gradient of output channel o at the position over a pixel, or zero.
fn d_output_over(pixel: u32, term: u32) -> f32 {
    let position = position_over(pixel, term);
    if pixel >= PIXELS || term >= O * KH * KW || position == OUT_AREA {
        return 0.0;
    }
    return d_output[(pixel / IN_AREA * O + term / (KH * KW)) * OUT_AREA + position];
}

// The first row and column of a tile, of products of `rows`×`columns`, and the number of the
// product, z.
fn tile_of(index: u32, rows: u32, columns: u32) -> vec3<u32> {
    let tiles_n = (columns + TILE_N - 1u) / TILE_N;
    let tiles_m = (rows + TILE_M - 1u) / TILE_M;
    return vec3<u32>(index / tiles_n % tiles_m * TILE_M, index % tiles_n * TILE_N, index / (tiles_n * tiles_m));
}

// The row and column within a tile of a lane's first block.
fn own_of(lane: u32) -> vec2<u32> {
    return vec2<u32>(lane / (TILE_N / 8u), lane % (TILE_N / 8u)) * 4u;
}

fn store_output(o: u32, position: u32, sum: f32) {
    if o >= O || position >= POSITIONS {
        return;
    }
    var value = sum;
    if BIAS {
        value += bias[o];
    }
    if RELU && !passes(value) {
        value = 0.0;
    }
    output[(position / OUT_AREA * O + o) * OUT_AREA + position % OUT_AREA] = value;
}

fn store_output_block(o: u32, position: u32, rows: mat4x4<f32>) {
    for (var i = 0u; i < 4u; i++) {
        let row = rows[i];
        store_output(o + i, position, row.x);
        store_output(o + i, position + 1u, row.y);
        store_output(o + i, position + 2u, row.z);
        store_output(o + i, position + 3u, row.w);
    }
}

// Rows: output channels. Columns: output positions of all images. Summed over (c, kh, kw).
@compute @workgroup_size(WORKGROUP_SIZE)
fn conv_tile_forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_of(workgroup_index(workgroup, workgroups), O, POSITIONS);
    let own = own_of(lane);
    var sums = Sums();
    for (var first = 0u; first < FAN_IN; first += SLICE) {
        workgroupBarrier();
        for (var i = lane; i < TILE_M * SLICE; i += WORKGROUP_SIZE) {
            let o = tile.x + i / SLICE;
            let cell = first + i % SLICE;
            var value = 0.0;
            if o < O && cell < FAN_IN {
                value = weight[o * FAN_IN + cell];
            }
            put_a(i / SLICE, i % SLICE, value);
        }
        for (var n = lane; n < TILE_N; n += WORKGROUP_SIZE) {
            for (var i = 0u; i < SLICE; i++) {
                put_b(n, i, input_under(tile.y + n, first + i));
            }
        }
        workgroupBarrier();
        sums = add_slice(sums, own.x / 4u, own.y / 4u);
    }
    let o = tile.x + own.x;
    let position = tile.y + own.y;
    store_output_block(o, position, sums.top_left);
    store_output_block(o, position + TILE_N / 2u, sums.top_right);
    store_output_block(o + TILE_M / 2u, position, sums.bottom_left);
    store_output_block(o + TILE_M / 2u, position + TILE_N / 2u, sums.bottom_right);
}

// The gradient of one pixel, over the windows on it alone.
fn d_input_of(c: u32, pixel: u32) -> f32 {
    var sum = 0.0;
    for (var term = 0u; term < O * KH * KW; term++) {
        let position = position_over(pixel, term);
        if position < OUT_AREA {
            let o = term / (KH * KW);
            let factor = kernels[(o * C + c) * KH * KW + term % (KH * KW)];
            sum += factor * d_output[(pixel / IN_AREA * O + o) * OUT_AREA + position];
        }
    }
    return sum;
}

// In a tile, a weight is multiplied by zero where no window has it on the pixel. If it is infinite,
// that gives NaN; then the pixel is computed again, without it.
fn store_d_input_block(c: u32, pixel: u32, rows: mat4x4<f32>) {
    for (var i = 0u; i < 16u; i++) {
        let row = c + i / 4u;
        let at = pixel + i % 4u;
        if row < C && at < PIXELS {
            var value = rows[i / 4u][i % 4u];
            if is_nan(value) {
                value = d_input_of(row, at);
            }
            d_input[(at / IN_AREA * C + row) * IN_AREA + at % IN_AREA] = value;
        }
    }
}

// Rows: input channels. Columns: input pixels of all images. Summed over (o, kh, kw).
@compute @workgroup_size(WORKGROUP_SIZE)
fn conv_tile_backward_input(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_of(workgroup_index(workgroup, workgroups), C, PIXELS);
    let own = own_of(lane);
    var sums = Sums();
    for (var first = 0u; first < O * KH * KW; first += SLICE) {
        workgroupBarrier();
        for (var i = lane; i < TILE_M * SLICE; i += WORKGROUP_SIZE) {
            let c = tile.x + i / SLICE;
            let term = first + i % SLICE;
            var value = 0.0;
            if c < C && term < O * KH * KW {
                value = kernels[(term / (KH * KW) * C + c) * KH * KW + term % (KH * KW)];
            }
            put_a(i / SLICE, i % SLICE, value);
        }
        for (var n = lane; n < TILE_N; n += WORKGROUP_SIZE) {
            for (var i = 0u; i < SLICE; i++) {
                put_b(n, i, d_output_over(tile.y + n, first + i));
            }
        }
        workgroupBarrier();
        sums = add_slice(sums, own.x / 4u, own.y / 4u);
    }
    let c = tile.x + own.x;
    let pixel = tile.y + own.y;
    store_d_input_block(c, pixel, sums.top_left);
    store_d_input_block(c, pixel + TILE_N / 2u, sums.top_right);
    store_d_input_block(c + TILE_M / 2u, pixel, sums.bottom_left);
    store_d_input_block(c + TILE_M / 2u, pixel + TILE_N / 2u, sums.bottom_right);
}

fn store_d_weight_block(part: u32, o: u32, cell: u32, rows: mat4x4<f32>) {
    for (var i = 0u; i < 16u; i++) {
        let row = o + i / 4u;
        let at = cell + i % 4u;
        if row < O && at < FAN_IN {
            d_weight[(part * O + row) * FAN_IN + at] = rows[i / 4u][i % 4u];
        }
    }
}

// Rows: output channels. Columns: weights of a channel, (c, kh, kw). Summed over the output
// positions of a part.
@compute @workgroup_size(WORKGROUP_SIZE)
fn conv_tile_backward_weight(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_of(workgroup_index(workgroup, workgroups), O, FAN_IN);
    if tile.z >= PARTS {
        return;
    }
    let own = own_of(lane);
    let part_len = (POSITIONS + PARTS - 1u) / PARTS;
    let end = min((tile.z + 1u) * part_len, POSITIONS);
    var sums = Sums();
    var bias_sum = 0.0; // of row `lane` of the tile
    for (var first = tile.z * part_len; first < end; first += SLICE) {
        workgroupBarrier();
        for (var i = lane; i < TILE_M * SLICE; i += WORKGROUP_SIZE) {
            let o = tile.x + i / SLICE;
            let position = first + i % SLICE;
            var value = 0.0;
            if o < O && position < end {
                value = d_output[(position / OUT_AREA * O + o) * OUT_AREA + position % OUT_AREA];
            }
            put_a(i / SLICE, i % SLICE, value);
        }
        for (var n = lane; n < TILE_N; n += WORKGROUP_SIZE) {
            for (var i = 0u; i < SLICE; i++) {
                put_b(n, i, input_under(select(POSITIONS, first + i, first + i < end), tile.y + n));
            }
        }
        workgroupBarrier();
        sums = add_slice(sums, own.x / 4u, own.y / 4u);
        if lane < TILE_M {
            for (var i = 0u; i < SLICE; i++) {
                bias_sum += a_slice[i * A_PITCH + lane / 4u][lane % 4u];
            }
        }
    }
    let o = tile.x + own.x;
    let cell = tile.y + own.y;
    store_d_weight_block(tile.z, o, cell, sums.top_left);
    store_d_weight_block(tile.z, o, cell + TILE_N / 2u, sums.top_right);
    store_d_weight_block(tile.z, o + TILE_M / 2u, cell, sums.bottom_left);
    store_d_weight_block(tile.z, o + TILE_M / 2u, cell + TILE_N / 2u, sums.bottom_right);
    if tile.y == 0u && lane < TILE_M && tile.x + lane < O {
        d_bias[tile.z * O + tile.x + lane] = bias_sum;
    }
}
