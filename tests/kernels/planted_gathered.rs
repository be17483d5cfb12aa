//! Faults planted in kernels that read the batch from the data set.

use wgrad::ops::{ConvPoolBackwardWeight, ConvPoolForward, Op};

use super::planted_fused::{cross_entropy, mse, sizes};

/// Number of samples in the data set.
pub const SAMPLES: usize = 80;

/// The change to the kernel, the op, the text and its replacement.
type Planted = (&'static str, Box<dyn Op>, &'static str, &'static str);

pub fn mutants() -> Vec<Planted> {
    let pool = || {
        Box::new(ConvPoolForward {
            sizes: sizes((1, 1)),
            gathered: Some(SAMPLES),
        })
    };
    let pool_backward = || {
        Box::new(ConvPoolBackwardWeight {
            sizes: sizes((1, 1)),
            gathered: Some(SAMPLES),
            accumulate: true,
            is_wide: false,
        })
    };
    vec![
        (
            "offset of the step ignored",
            pool(),
            "order[this_step.offset + n]",
            "order[n]",
        ),
        (
            "order ignored",
            pool_backward(),
            "order[this_step.offset + n]",
            "(this_step.offset + n)",
        ),
        (
            "no image past the batch",
            pool(),
            "n < this_step.rows",
            "false",
        ),
        ("first byte of the word", pool(), "at % 4u * 8u", "0u"),
        (
            "bytes in the other order",
            pool(),
            "vec4<u32>(word, word >> 8u, word >> 16u, word >> 24u)",
            "vec4<u32>(word >> 24u, word >> 16u, word >> 8u, word)",
        ),
        (
            "second pair left out",
            pool(),
            "second = words(input[pair + 1u])",
            "second = vec2<u32>()",
        ),
        (
            "word after the first left out",
            pool_backward(),
            " | (read.yzw << vec3<u32>(1u) << vec3<u32>(31u - shift))",
            "",
        ),
        (
            "padding not zero",
            pool_backward(),
            "select(vec4<u32>(this_step.zero), bytes, inside(image, h, w))",
            "bytes",
        ),
        ("bytes not scaled", pool_backward(), " * BYTE_SCALE", ""),
        (
            "offset of the step ignored",
            mse(Some(SAMPLES)),
            "order[this_step.offset + row]",
            "order[row]",
        ),
        (
            "labels' bytes in the other order",
            cross_entropy(Some(SAMPLES)),
            "sample % 4u * 8u",
            "24u - sample % 4u * 8u",
        ),
    ]
}
