//! Faults of the ops of residual blocks, global pools, Dropout and Adam.

use wgrad::ops::{Add, AvgPoolBackward, AvgPoolForward, Op};

/// What was done to the kernel, the op, the text and its replacement.
type Planted = (&'static str, Box<dyn Op>, &'static str, &'static str);

pub fn mutants() -> Vec<Planted> {
    let add = |len, relu| Box::new(Add { len, relu });
    let planes = 10;
    let pool = || Box::new(AvgPoolForward { planes, area: 7 });
    let pool_backward = || Box::new(AvgPoolBackward { planes, area: 7 });
    vec![
        ("last pixel left out", pool(), "p < AREA", "p + 1u < AREA"),
        ("sum, not mean", pool(), "sum * INVERSE_AREA", "sum"),
        (
            "pixels of all planes mixed",
            pool(),
            "plane * AREA + p",
            "p * PLANES + plane",
        ),
        (
            "gradient not divided",
            pool_backward(),
            "] * INVERSE_AREA",
            "]",
        ),
        (
            "gradient of another plane",
            pool_backward(),
            "d_output[index / AREA]",
            "d_output[index % PLANES]",
        ),
        (
            "one of them twice",
            add(70, false),
            "+ b[index]",
            "+ a[index]",
        ),
        (
            "difference",
            add(72, false),
            ") + unpack(b_4",
            ") - unpack(b_4",
        ),
        (
            "ReLU forgotten",
            add(70, true),
            "!RELU || passes(total)",
            "true",
        ),
        (
            "always after ReLU",
            add(72, false),
            "vec4<bool>(!RELU) | ",
            "",
        ),
        (
            "negative sums pass",
            add(72, true),
            "passes_four(total)",
            "passes_four(-total)",
        ),
        (
            "last four left out",
            add(72, false),
            "LEN / 4u",
            "LEN / 4u - 1u",
        ),
    ]
}
