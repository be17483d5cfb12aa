// Factors and product in fours, and the epilogue of a 4×4 block, for sizes that are multiples of four.

@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>; // (BATCH, M, K)
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>; // (BATCH, K, N)
@group(0) @binding(2) var<storage, read> extra: array<vec4<f32>>; // the epilogue's operand, or b
@group(0) @binding(3) var<storage, read_write> product: array<vec4<f32>>; // (BATCH, M, N)

fn store_row(index: u32, n: u32, sums: vec4<f32>, row_bias: f32) {
    var row = sums;
    if ACCUMULATE {
        row += product[index];
    }
    if BIAS && BIAS_OF_ROWS {
        row += row_bias;
    }
    if BIAS && !BIAS_OF_ROWS {
        row += extra[n / 4u];
    }
    if RELU {
        row = select(vec4<f32>(), row, passes_four(row));
    }
    if MASKED {
        row = select(vec4<f32>(), row, passes_four(extra[index]));
    }
    product[index] = row;
}

fn store_block(batch: u32, m: u32, n: u32, rows: mat4x4<f32>) {
    if m >= M || n >= N {
        return;
    }
    var row_biases = vec4<f32>();
    if BIAS && BIAS_OF_ROWS {
        row_biases = extra[m / 4u];
    }
    let index = ((batch * M + m) * N + n) / 4u;
    store_row(index, n, rows[0], row_biases.x);
    store_row(index + N / 4u, n, rows[1], row_biases.y);
    store_row(index + N / 2u, n, rows[2], row_biases.z);
    store_row(index + N / 4u * 3u, n, rows[3], row_biases.w);
}
