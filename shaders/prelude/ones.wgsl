// A kernel processes one float at once. fours.wgsl replaces it if the size is a multiple of four.

const AT_ONCE: u32 = 1u;

alias Floats = f32;
alias Stored = f32; // as stored in a buffer

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

// `floats` where ReLU passes `gate`, zero elsewhere.
fn gated(floats: Floats, gate: Floats) -> Floats {
    return select(0.0, floats, passes(gate));
}
