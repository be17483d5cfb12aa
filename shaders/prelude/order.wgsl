// A total order of floats.

const NAN_KEY: u32 = 0xffffffffu;

// Orders floats as integers: numbers by value, both zeros equal, NaN above all. WGSL may flush
// subnormals and assume that no NaN occurs, so floats are not compared as floats.
fn ordered_key(bits: u32) -> u32 {
    let magnitude = bits & 0x7fffffffu;
    if magnitude > 0x7f800000u {
        return NAN_KEY;
    }
    if bits == magnitude || magnitude == 0u {
        return magnitude | 0x80000000u;
    }
    return ~bits;
}
