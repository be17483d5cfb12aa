// Four floats, and two words, as stored in a buffer. loads_wide.wgsl is for software adapters.

alias Four = vec4<f32>;

fn unpack(four: Four) -> vec4<f32> {
    return four;
}

fn pack(floats: vec4<f32>) -> Four {
    return floats;
}

alias Pair = vec2<u32>;

fn words(pair: Pair) -> vec2<u32> {
    return pair;
}
