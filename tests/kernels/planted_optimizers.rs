//! Faults planted in what the update phase runs: clipping, averages, decays of some
//! blocks.

use wgrad::ops::{
    Adam, AverageParameters, ClipNorm, ClipValue, Lion, Op, RmsProp, Sgd, SgdMomentum, SumSquares,
};

/// The change to the kernel, the op, the text and its replacement.
type Planted = (&'static str, Box<dyn Op>, &'static str, &'static str);

/// Elements of arenas: seven blocks, the last not whole.
const LEN: usize = 406;

pub fn mutants() -> Vec<Planted> {
    let sgd = || {
        Box::new(Sgd {
            len: LEN,
            weight_decay: 0.1,
            selective: true,
        })
    };
    let momentum = || {
        Box::new(SgdMomentum {
            len: LEN,
            weight_decay: 0.1,
            momentum: 0.9,
            nesterov: false,
            selective: true,
        })
    };
    let adam = |decoupled| {
        Box::new(Adam {
            len: LEN,
            beta1: 0.9,
            beta2: 0.99,
            eps: 0.01,
            weight_decay: 0.1,
            decoupled,
            selective: true,
        })
    };
    let rms_prop = |momentum, centered| {
        Box::new(RmsProp {
            len: LEN,
            alpha: 0.5,
            eps: 0.01,
            weight_decay: 0.1,
            momentum,
            centered,
        })
    };
    let lion = || {
        Box::new(Lion {
            len: LEN,
            beta1: 0.75,
            beta2: 0.25,
            weight_decay: 0.5,
        })
    };
    let average = || {
        Box::new(AverageParameters {
            len: LEN,
            decay: 0.75,
        })
    };
    let norm = |limit| Box::new(ClipNorm { len: LEN, limit });
    let value = |limit| Box::new(ClipValue { len: LEN, limit });
    let marked = "decayed[index / DECAY_BLOCK] != 0u";
    vec![
        (
            "the other blocks decay",
            sgd(),
            marked,
            "decayed[index / DECAY_BLOCK] == 0u",
        ),
        ("all blocks decay", momentum(), marked, "true"),
        (
            "shorter blocks",
            momentum(),
            "DECAY_BLOCK: u32 = 64u",
            "DECAY_BLOCK: u32 = 60u",
        ),
        ("no block decays", adam(false), marked, "false"),
        (
            "the next block's mark",
            adam(true),
            marked,
            "decayed[(index + 1u) / DECAY_BLOCK] != 0u",
        ),
        (
            "no root of the mean square",
            rms_prop(0.0, false),
            "root(after)",
            "after",
        ),
        (
            "gradient not squared",
            rms_prop(0.0, false),
            "averaged(square[index], gradient * gradient)",
            "averaged(square[index], gradient)",
        ),
        (
            "mean not subtracted",
            rms_prop(0.0, true),
            "after - mean_after * mean_after",
            "after",
        ),
        (
            "mean not stored",
            rms_prop(0.9, true),
            "mean[index] = mean_after;",
            "",
        ),
        (
            "momentum left out",
            rms_prop(0.9, false),
            "MOMENTUM * velocity[index] + scaled",
            "scaled",
        ),
        (
            "velocity not stored",
            rms_prop(0.9, true),
            "velocity_centered[index] = updated;",
            "",
        ),
        ("all blocks decay", rms_prop(0.0, false), marked, "true"),
        ("no block decays", lion(), marked, "false"),
        (
            "direction of the gradient's size",
            lion(),
            "select(sign(mixed), mixed, is_nan)",
            "mixed",
        ),
        (
            "betas swapped",
            lion(),
            "BETA2 * before + (1.0 - BETA2)",
            "BETA1 * before + (1.0 - BETA1)",
        ),
        (
            "momentum not stored",
            lion(),
            "momentum[index] = BETA2",
            "_ = BETA2",
        ),
        (
            "parameters not averaged",
            average(),
            "this_step.update == 0u",
            "true",
        ),
        (
            "shares swapped",
            average(),
            "DECAY * average[index] + (1.0 - DECAY) * parameter",
            "(1.0 - DECAY) * average[index] + DECAY * parameter",
        ),
        (
            "sum of values",
            Box::new(SumSquares::new(LEN)),
            "gradient * gradient",
            "gradient",
        ),
        (
            "the last squares left out",
            Box::new(SumSquares::new(LEN)),
            "index < LEN",
            "index + PARTS < LEN",
        ),
        ("no root", norm(0.25), "sqrt(square)", "square"),
        ("short gradients grow", norm(1000.0), ", 1.0)", ", 8.0)"),
        (
            "sign turned",
            value(0.25),
            "limit | (gradient & ~MAGNITUDE)",
            "limit | (~gradient & ~MAGNITUDE)",
        ),
        (
            "small values grow",
            value(4.0),
            "magnitude > limit",
            "magnitude > 0u",
        ),
    ]
}
