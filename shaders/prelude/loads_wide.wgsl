// loads.wgsl in 64-bit words: on a software adapter, the cost of a load or store scales with the
// number of components, whatever their size.

alias Four = vec2<u64>;

fn unpack(four: Four) -> vec4<f32> {
    let low = vec2<u32>(four);
    let high = vec2<u32>(four >> vec2<u32>(32u));
    return bitcast<vec4<f32>>(vec4<u32>(low.x, high.x, low.y, high.y));
}

fn pack(floats: vec4<f32>) -> Four {
    let bits = bitcast<vec4<u32>>(floats);
    return vec2<u64>(bits.xz) | (vec2<u64>(bits.yw) << vec2<u32>(32u));
}

alias Pair = u64;

fn words(pair: Pair) -> vec2<u32> {
    return vec2<u32>(u32(pair), u32(pair >> 32u));
}
