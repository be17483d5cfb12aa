//! Faults planted in the kernel that computes all gradients of a fully connected layer.

use wgrad::ops::{LinearBackward, Op};

/// The change to the kernel, the op, the text and its replacement.
type Planted = (&'static str, Box<dyn Op>, &'static str, &'static str);

pub fn mutants() -> Vec<Planted> {
    // More rows and outputs than a workgroup has lanes, in tiles that are not all whole.
    let op = || {
        Box::new(LinearBackward {
            rows: 70,
            outputs: 66,
            inputs: 9,
            masked: true,
            accumulate: true,
        })
    };
    vec![
        (
            "rows beyond the lanes left out",
            op(),
            "n < BATCH; n += WORKGROUP_SIZE",
            "n < min(BATCH, 64u); n += WORKGROUP_SIZE",
        ),
        (
            "outputs beyond the lanes left out",
            op(),
            "o < OUTPUTS; o += WORKGROUP_SIZE",
            "o < min(OUTPUTS, 64u); o += WORKGROUP_SIZE",
        ),
        (
            "half of the lanes left out",
            op(),
            "half = WORKGROUP_SIZE / 2u",
            "half = WORKGROUP_SIZE / 4u",
        ),
        ("mask ignored", op(), "MASKED && ", "false && "),
        (
            "weights not accumulated",
            op(),
            "select(0.0, d_weight[at], ACCUMULATE)",
            "0.0",
        ),
        (
            "biases not accumulated",
            op(),
            "select(0.0, d_bias[o + lane], ACCUMULATE)",
            "0.0",
        ),
        (
            "tile transposed",
            op(),
            "rows[r][c] + select",
            "rows[c][r] + select",
        ),
        (
            "an input twice",
            op(),
            "vec4<f32>(input[row.x], input[row.y]",
            "vec4<f32>(input[row.x], input[row.x]",
        ),
        (
            "last row of tiles left out",
            op(),
            "n + r < BATCH",
            "n + r + 2u < BATCH",
        ),
    ]
}
