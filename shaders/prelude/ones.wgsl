// What a kernel takes at once: one float. fours.wgsl stands in its place where there are whole fours.

const AT_ONCE: u32 = 1u;

alias Floats = f32;
alias Stored = f32; // as they lie in a buffer

fn load(stored: Stored) -> Floats {
    return stored;
}

fn store(floats: Floats) -> Stored {
    return floats;
}

fn first(floats: Floats) -> f32 {
    return floats;
}

fn total(floats: Floats) -> f32 {
    return floats;
}

// Where `gate` passes ReLU, and zero elsewhere.
fn gated(floats: Floats, gate: Floats) -> Floats {
    return select(0.0, floats, passes(gate));
}
