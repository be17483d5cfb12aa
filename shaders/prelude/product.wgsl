// The sizes of a product with an epilogue, and the row sums of A, for all kernels of `Product`
// (src/ops/product.rs).

override BATCH: u32;
override M: u32;
override N: u32;
override K: u32;
override A_TRANSPOSED: bool; // A is stored (K, M)
override B_TRANSPOSED: bool; // B is stored (N, K)
override A_SHARED: bool; // one A for the whole batch
override BIAS: bool; // extra is a bias (N)
override BIAS_OF_ROWS: bool; // the bias is (M) instead
override RELU: bool; // ReLU follows the bias
override MASKED: bool; // extra is a ReLU output (BATCH, M, N): the product is zero where ReLU was
override ACCUMULATE: bool;

@group(0) @binding(4) var<storage, read_write> row_sums: array<f32>; // (BATCH, M): of A

fn store_sum(batch: u32, m: u32, sum: f32) {
    let is_real = batch < BATCH && m < M;
    if is_real && ACCUMULATE {
        row_sums[batch * M + m] += sum;
    } else if is_real {
        row_sums[batch * M + m] = sum;
    }
}

fn store_sums(batch: u32, m: u32, sums: vec4<f32>) {
    store_sum(batch, m, sums.x);
    store_sum(batch, m + 1u, sums.y);
    store_sum(batch, m + 2u, sums.z);
    store_sum(batch, m + 3u, sums.w);
}
