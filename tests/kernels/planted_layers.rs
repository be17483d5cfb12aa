//! Faults of the ops of residual blocks, global pools, Dropout and Adam.

use wgrad::ops::{Add, AvgPoolBackward, AvgPoolForward, Dropout, Op};

/// What was done to the kernel, the op, the text and its replacement.
type Planted = (&'static str, Box<dyn Op>, &'static str, &'static str);

pub fn mutants() -> Vec<Planted> {
    let add = |len, relu| Box::new(Add { len, relu });
    let planes = 10;
    let pool = || Box::new(AvgPoolForward { planes, area: 7 });
    let pool_backward = || Box::new(AvgPoolBackward { planes, area: 7 });
    let dropout = |len| {
        Box::new(Dropout {
            rows: 70,
            len,
            probability: 0.3,
            stream: 3,
        })
    };
    vec![
        (
            "kept and dropped swapped",
            dropout(5),
            ">= vec4<u32>(THRESHOLD)",
            "< vec4<u32>(THRESHOLD)",
        ),
        (
            "kept elements not scaled",
            dropout(4),
            " * SCALE, kept",
            ", kept",
        ),
        (
            "the same in every epoch",
            dropout(4),
            "this_step.number, this_step.epoch",
            "this_step.number, 0u",
        ),
        (
            "the same in every step",
            dropout(4),
            "STREAM, this_step.number",
            "STREAM, 0u",
        ),
        (
            "the same in every layer",
            dropout(4),
            "four, STREAM",
            "four, 0u",
        ),
        (
            "the same in every run",
            dropout(4),
            "philox(this_step.seed",
            "philox(vec2<u32>()",
        ),
        (
            "the same draw for two elements",
            dropout(5),
            "are_kept.w",
            "are_kept.z",
        ),
        (
            "last elements left out",
            dropout(5),
            "(LEN + 3u) / 4u",
            "LEN / 4u",
        ),
        ("one round too few", dropout(4), "round < 10u", "round < 9u"),
        (
            "keys that stay",
            dropout(4),
            "keys += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);",
            "",
        ),
        ("no carry", dropout(4), " + (second >> 16u)", ""),
        (
            "words in another order",
            dropout(4),
            "z.x, x.y ^ words.w ^ keys.y, x.x",
            "x.x, x.y ^ words.w ^ keys.y, z.x",
        ),
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
