//! What the update phase runs besides SGD and Adam: RMSprop, Lion, moving averages, clipping.

use wgrad::ops::{AverageParameters, ClipNorm, ClipValue, Lion, RmsProp, SumSquares};

use super::{any_step, check, check_random, common};

/// Whole blocks of a decay, less and more, and many.
const LENS: [usize; 5] = [1, 63, 64, 65, 40_003];

#[test]
fn rms_prop_and_lion_of_any_size() {
    let Some(device) = common::gpu() else { return };
    for len in LENS {
        for weight_decay in [0.0, 0.01] {
            for (momentum, centered) in [(0.0, false), (0.0, true), (0.9, false), (0.9, true)] {
                let op = RmsProp {
                    len,
                    alpha: 0.99,
                    eps: 1e-8,
                    weight_decay,
                    momentum,
                    centered,
                };
                check_random(&device, op);
            }
            let op = Lion {
                len,
                beta1: 0.9,
                beta2: 0.99,
                weight_decay,
            };
            check_random(&device, op);
        }
    }
}

/// A gradient that is NaN shows in the parameter.
#[test]
fn lion_of_nan() {
    let Some(device) = common::gpu() else { return };
    let op = Lion {
        len: 3,
        beta1: 0.9,
        beta2: 0.99,
        weight_decay: 0.0,
    };
    let gradients = common::words(&[f32::NAN, -f32::NAN, 1.0]);
    check(&device, op, &[gradients, vec![1]], &any_step());
}

#[test]
fn averages_and_clipping_of_any_size() {
    let Some(device) = common::gpu() else { return };
    for len in LENS {
        check_random(&device, AverageParameters { len, decay: 0.999 });
        check_random(&device, SumSquares::new(len));
        for parts in [1, len] {
            check_random(&device, SumSquares { len, parts });
        }
        for limit in [1e-3, 1e6] {
            check_random(&device, ClipNorm { len, limit });
            check_random(&device, ClipValue { len, limit });
        }
    }
}
