//! Draws from random words, and rotations, in the integers of `shaders/augment.wgsl`.

/// Sine and cosine of an angle in turns of 2¹⁶, times 2¹⁵.
pub(in crate::ops) fn sine_and_cosine(angle: i32) -> [i32; 2] {
    let quarter = (angle + 8192) >> 14;
    let x = ((angle - quarter * 16384) * 205_887) >> 16;
    let square = (x * x) >> 15;
    let fourth = (square * square) >> 15;
    let sine = x - ((x * square) >> 15) / 6 + ((x * fourth) >> 15) / 120;
    let cosine = 32768 - square / 2 + fourth / 24 - ((fourth * square) >> 15) / 720;
    match quarter & 3 {
        0 => [sine, cosine],
        1 => [cosine, -sine],
        2 => [-sine, -cosine],
        _ => [-cosine, sine],
    }
}

/// A number below `end`, which is at most 2¹⁶, from a random word.
pub(in crate::ops) fn below(word: u32, end: u32) -> u32 {
    ((word >> 16) * end) >> 16
}

/// A number from −`most` to `most`.
pub(in crate::ops) fn around_zero(word: u32, most: u32) -> i32 {
    below(word, 2 * most + 1) as i32 - most as i32
}

/// A number from `least` to `most`.
pub(in crate::ops) fn between(word: u32, [least, most]: [u32; 2]) -> i32 {
    (least + below(word, most - least + 1)) as i32
}
