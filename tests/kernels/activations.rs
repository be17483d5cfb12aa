//! Activations and their gradients at every magnitude.

use wgrad::ops::{Activation, ActivationBackward, ActivationForward};

use super::{any_step, check, check_random, common, reports};

/// Values of both signs on a fine grid up to 20, and powers of two from subnormals to 2¹²⁰.
fn values() -> Vec<f32> {
    let grid = (-40_000..=40_000).map(|step| step as f32 / 2000.0 + 1e-4);
    let powers = (-148..=120).flat_map(|power| [2f32.powi(power), -2f32.powi(power)]);
    grid.chain(powers).collect()
}

#[test]
fn activations_are_within_their_bounds_at_every_magnitude() {
    let Some(device) = common::gpu() else { return };
    let values = common::words(&values());
    let len = values.len();
    // Powers of two from 2⁻³ to 2⁴.
    let gradients: Vec<f32> = (0..len).map(|i| 2f32.powi(i as i32 % 8 - 3)).collect();
    let inputs = [values.clone(), common::words(&gradients)];
    for function in Activation::ALL {
        let (forward, backward) = (
            ActivationForward { function, len },
            ActivationBackward { function, len },
        );
        let before = [vec![0; len]];
        let mut all = reports(&device, forward, &inputs[..1], &before, &any_step());
        all.extend(reports(&device, backward, &inputs, &before, &any_step()));
        for report in all {
            let (op, ratio) = (report.op, report.error_ratio);
            println!("{device}: {op} of {function:?}: {ratio:.3} of the bound");
            assert!(report.passes(), "{function:?}: {report:?}");
        }
    }
}

#[test]
fn activations_of_any_length() {
    let Some(device) = common::gpu() else { return };
    for len in [1, 64, 65, 65_535 * 64 + 1] {
        for function in [Activation::LeakyRelu(-0.5), Activation::Gelu] {
            check_random(&device, ActivationForward { function, len });
            check_random(&device, ActivationBackward { function, len });
        }
    }
}

#[test]
fn activations_of_nan_and_zeros() {
    let Some(device) = common::gpu() else { return };
    let inputs = [
        common::words(&[f32::NAN, -f32::NAN, 0.0, -0.0]),
        common::words(&[1.0; 4]),
    ];
    for function in Activation::ALL {
        let len = 4;
        let forward = ActivationForward { function, len };
        check(&device, forward, &inputs[..1], &any_step());
        check(
            &device,
            ActivationBackward { function, len },
            &inputs,
            &any_step(),
        );
    }
}
