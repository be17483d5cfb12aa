// Factors and product of sizes that are multiples of four, loaded and stored in fours, all of which
// are real. factors_ones.wgsl replaces it for other sizes.

const IS_WHOLE: bool = true; // tiles end in whole fours

@group(0) @binding(0) var<storage, read> a: array<Four>; // (BATCH, M, K)
@group(0) @binding(1) var<storage, read> b: array<Four>; // (BATCH, K, N)
@group(0) @binding(2) var<storage, read> extra: array<Four>; // the epilogue's operand, or b
@group(0) @binding(3) var<storage, read_write> product: array<Four>; // (BATCH, M, N)

// The floats from element `at` on, of which `real` belong to the row.
fn a_at(at: u32, real: u32) -> vec4<f32> {
    return unpack(a[at / 4u]);
}

fn b_at(at: u32, real: u32) -> vec4<f32> {
    return unpack(b[at / 4u]);
}

fn extra_at(at: u32, real: u32) -> vec4<f32> {
    return unpack(extra[at / 4u]);
}

fn product_at(at: u32, real: u32) -> vec4<f32> {
    return unpack(product[at / 4u]);
}

fn store_at(at: u32, real: u32, floats: vec4<f32>) {
    product[at / 4u] = pack(floats);
}
