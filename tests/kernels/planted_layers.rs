//! Faults planted in the ops of residual blocks, activations, Dropout and Adam.

use wgrad::ops::{Activation, ActivationBackward, ActivationForward, Adam, Add, Dropout, Op};

/// The change to the kernel, the op, the text and its replacement.
type Planted = (&'static str, Box<dyn Op>, &'static str, &'static str);

pub fn mutants() -> Vec<Planted> {
    let dropout_planes = || {
        Box::new(Dropout {
            rows: 3,
            len: 70,
            probability: 0.3,
            area: 7,
            stream: 3,
        })
    };
    let activation = |function| Box::new(ActivationForward { function, len: 70 });
    let slope = |function| Box::new(ActivationBackward { function, len: 70 });
    let add = |len, relu| Box::new(Add { len, relu });
    let dropout = |len| {
        Box::new(Dropout {
            area: 1,
            rows: 70,
            len,
            probability: 0.3,
            stream: 3,
        })
    };
    let adam = |len, decoupled| {
        Box::new(Adam {
            len,
            beta1: 0.9,
            beta2: 0.99,
            eps: 0.01,
            weight_decay: 0.1,
            decoupled,
            selective: false,
        })
    };
    vec![
        (
            "gradients ignored",
            adam(70, false),
            "(1.0 - BETA1) * gradient",
            "(1.0 - BETA1)",
        ),
        (
            "betas swapped",
            adam(72, false),
            "BETA1 * state.first",
            "BETA2 * state.first",
        ),
        (
            "gradient not squared",
            adam(72, true),
            "gradient * gradient",
            "gradient",
        ),
        (
            "moment before the step",
            adam(72, false),
            "corrections.x * first",
            "corrections.x * state.first",
        ),
        (
            "second moment before the step",
            adam(70, false),
            "root(second)",
            "root(state.second)",
        ),
        ("no root", adam(72, true), "root(second)", "second"),
        (
            "first moment not corrected",
            adam(72, true),
            "rate * corrections.x",
            "rate",
        ),
        (
            "second moment not corrected",
            adam(72, true),
            " * corrections.y",
            "",
        ),
        (
            "eps under the root",
            adam(72, false),
            "root(second) * corrections.y + EPS",
            "root(second + EPS) * corrections.y",
        ),
        (
            "decay ascends",
            adam(72, true),
            "1.0 - rate * decay",
            "1.0 + rate * decay",
        ),
        (
            "decay in the gradient",
            adam(72, true),
            "if DECOUPLED",
            "if !DECOUPLED",
        ),
        (
            "decay apart from the gradient",
            adam(70, false),
            "if DECOUPLED",
            "if !DECOUPLED",
        ),
        (
            "ascends",
            adam(70, true),
            "decayed - step",
            "decayed + step",
        ),
        (
            "last four left out",
            adam(72, false),
            "LEN / 4u",
            "LEN / 4u - 1u",
        ),
        (
            "first moment not stored",
            adam(70, false),
            "first[index] = after.first.x",
            "first[index] = state.first.x",
        ),
        (
            "second moment not stored",
            adam(72, false),
            "pack(after.second)",
            "pack(state.second)",
        ),
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
        (
            "planes drawn in another order",
            dropout_planes(),
            "are_kept[plane % 4u]",
            "are_kept[3u - plane % 4u]",
        ),
        (
            "elements of a plane drawn apart",
            dropout_planes(),
            "let plane = index / AREA;",
            "let plane = index;",
        ),
        (
            "slope above zero",
            activation(Activation::LeakyRelu(0.25)),
            "x, passes(x)",
            "x, passes(-x)",
        ),
        (
            "gradient unscaled",
            slope(Activation::LeakyRelu(0.25)),
            "select(SLOPE, 1.0",
            "select(1.0, 1.0",
        ),
        (
            "sigmoid of the magnitude",
            activation(Activation::Sigmoid),
            "select(z, 1.0, x >= 0.0)",
            "1.0",
        ),
        (
            "value for slope",
            slope(Activation::Sigmoid),
            "return sigmoid_slope(x);",
            "return sigmoid(x);",
        ),
        ("sign lost", activation(Activation::Tanh), "sign(x) * ", ""),
        (
            "last coefficient of tanh",
            activation(Activation::Tanh),
            "-3.33332819422e-1",
            "-3.33e-1",
        ),
        (
            "derivative of half the argument",
            slope(Activation::Tanh),
            "4.0 * ",
            "2.0 * ",
        ),
        (
            "sigmoid for SiLU",
            activation(Activation::Silu),
            "return x * sigmoid(x);",
            "return sigmoid(x);",
        ),
        (
            "second summand of SiLU's slope",
            slope(Activation::Silu),
            "+ x * sigmoid_slope(x)",
            "",
        ),
        (
            "a coefficient of erfc",
            activation(Activation::Gelu),
            "0.37409196",
            "0.37419196",
        ),
        (
            "symmetric integral",
            activation(Activation::Gelu),
            "select(beyond, 1.0 - beyond, x >= 0.0)",
            "beyond",
        ),
        (
            "density unscaled",
            slope(Activation::Gelu),
            "0.3989423",
            "0.39",
        ),
        (
            "cubic term",
            activation(Activation::GeluTanh),
            "0.044715",
            "0.0447",
        ),
        (
            "derivative of the argument",
            slope(Activation::GeluTanh),
            "0.134145",
            "0.044715",
        ),
        (
            "NaN passes to the fit",
            activation(Activation::LeakyRelu(0.25)),
            "output[index] = x;",
            "output[index] = 0.0;",
        ),
        (
            "last left out",
            activation(Activation::Silu),
            "index >= LEN",
            "index + 1u >= LEN",
        ),
    ]
}
