// Random words from key and counter: Philox4x32-10, as in src/ops/reference/philox.rs.

// The low and the high word of the product of two words, from 16-bit halves since WGSL has no wider
// integers.
fn wide_product(a: u32, b: u32) -> vec2<u32> {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let first = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
    let second = (a & 0xffffu) * (b >> 16u) + (first & 0xffffu);
    return vec2<u32>(a * b, (a >> 16u) * (b >> 16u) + (first >> 16u) + (second >> 16u));
}

fn philox(key: vec2<u32>, counter: vec4<u32>) -> vec4<u32> {
    var keys = key;
    var words = counter;
    for (var round = 0u; round < 10u; round++) {
        let x = wide_product(0xd2511f53u, words.x);
        let z = wide_product(0xcd9e8d57u, words.z);
        words = vec4<u32>(z.y ^ words.y ^ keys.x, z.x, x.y ^ words.w ^ keys.y, x.x);
        keys += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
    return words;
}
