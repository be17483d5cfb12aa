// Factors and product of any size, loaded and stored one float at a time, for kernels that work on
// fours: factors_fours.wgsl is for sizes that are multiples of four.

const IS_WHOLE: bool = false;

@group(0) @binding(0) var<storage, read> a: array<f32>; // (BATCH, M, K)
@group(0) @binding(1) var<storage, read> b: array<f32>; // (BATCH, K, N)
@group(0) @binding(2) var<storage, read> extra: array<f32>; // the epilogue's operand, or b
@group(0) @binding(3) var<storage, read_write> product: array<f32>; // (BATCH, M, N)

const PLACES = vec4<u32>(0u, 1u, 2u, 3u);

// The places of four floats, of which `real`, at least one, belong to the row: the last for all
// beyond it.
fn places(at: u32, real: u32) -> vec4<u32> {
    return at + min(PLACES, vec4<u32>(real - 1u));
}

// Zero beyond the row.
fn real_of(floats: vec4<f32>, real: u32) -> vec4<f32> {
    return select(vec4<f32>(), floats, PLACES < vec4<u32>(real));
}

fn a_at(at: u32, real: u32) -> vec4<f32> {
    let i = places(at, real);
    return real_of(vec4<f32>(a[i.x], a[i.y], a[i.z], a[i.w]), real);
}

fn b_at(at: u32, real: u32) -> vec4<f32> {
    let i = places(at, real);
    return real_of(vec4<f32>(b[i.x], b[i.y], b[i.z], b[i.w]), real);
}

fn extra_at(at: u32, real: u32) -> vec4<f32> {
    let i = places(at, real);
    return real_of(vec4<f32>(extra[i.x], extra[i.y], extra[i.z], extra[i.w]), real);
}

fn product_at(at: u32, real: u32) -> vec4<f32> {
    let i = places(at, real);
    return real_of(vec4<f32>(product[i.x], product[i.y], product[i.z], product[i.w]), real);
}

fn store_at(at: u32, real: u32, floats: vec4<f32>) {
    product[at] = floats.x;
    if real > 1u {
        product[at + 1u] = floats.y;
    }
    if real > 2u {
        product[at + 2u] = floats.z;
    }
    if real > 3u {
        product[at + 3u] = floats.w;
    }
}
