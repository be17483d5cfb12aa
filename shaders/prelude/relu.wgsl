// ReLU passes values above zero, and NaN. WGSL may flush subnormals and assume that no NaN occurs,
// so we test the bits.

fn is_nan_bits(bits: u32) -> bool {
    return (bits & 0x7fffffffu) > 0x7f800000u;
}

fn is_nan(value: f32) -> bool {
    return is_nan_bits(bitcast<u32>(value));
}

fn passes_bits(bits: u32) -> bool {
    let is_nan = is_nan_bits(bits);
    return is_nan || bitcast<i32>(bits) > 0;
}

fn passes(value: f32) -> bool {
    return passes_bits(bitcast<u32>(value));
}

fn passes_four(values: vec4<f32>) -> vec4<bool> {
    let bits = bitcast<vec4<u32>>(values);
    let is_nan = (bits & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
    return is_nan | (bitcast<vec4<i32>>(bits) > vec4<i32>(0));
}
