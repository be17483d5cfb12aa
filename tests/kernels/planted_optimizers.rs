//! Faults planted in what the update phase runs: clipping, decays of some blocks.

use wgrad::ops::{Adam, ClipNorm, ClipValue, Op, Sgd, SgdMomentum, SumSquares};

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
    let norm = |limit| Box::new(ClipNorm { len: LEN, limit });
    let value = || {
        Box::new(ClipValue {
            len: LEN,
            limit: 0.25,
        })
    };
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
            "sign lost",
            value(),
            "limit | (gradient & ~MAGNITUDE)",
            "limit",
        ),
        (
            "small values grow",
            value(),
            "magnitude > limit",
            "magnitude > 0u",
        ),
    ]
}
