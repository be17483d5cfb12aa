// A kernel processes four floats at once: ones.wgsl for sizes that are multiples of four.

const AT_ONCE: u32 = 4u;

alias Floats = vec4<f32>;
alias Stored = Four; // as stored in a buffer

fn load(stored: Stored) -> Floats {
    return unpack(stored);
}

fn store(floats: Floats) -> Stored {
    return pack(floats);
}

fn first(floats: Floats) -> f32 {
    return floats.x;
}

fn total(floats: Floats) -> f32 {
    return (floats.x + floats.y) + (floats.z + floats.w);
}

// `floats` where ReLU passes `gate`, zero elsewhere.
fn gated(floats: Floats, gate: Floats) -> Floats {
    return select(vec4<f32>(), floats, passes_four(gate));
}
