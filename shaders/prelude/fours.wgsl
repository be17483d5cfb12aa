// What a kernel takes at once: four floats. As ones.wgsl, for sizes that are multiples of four.

const AT_ONCE: u32 = 4u;

alias Floats = vec4<f32>;
alias Stored = Four; // as they lie in a buffer

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

// Where `gate` passes ReLU, and zero elsewhere.
fn gated(floats: Floats, gate: Floats) -> Floats {
    return select(vec4<f32>(), floats, passes_four(gate));
}
