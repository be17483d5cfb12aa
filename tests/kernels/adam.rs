//! Adam and AdamW.

use wgrad::Device;
use wgrad::ops::{Adam, Op, Step};
use wgrad::verify::OutputReport;

use super::{common, random_inputs, reports};

fn adam(len: usize, weight_decay: f32, decoupled: bool) -> Adam {
    Adam {
        len,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay,
        decoupled,
        selective: false,
    }
}

/// The step after `number` earlier ones.
fn step_after(op: &Adam, number: u32) -> Step {
    let scalars = Adam::scalars(op.beta1, op.beta2, number.into());
    Step::new(0, 1, 0, 0.01).at(0, number).scalars(scalars)
}

/// Runs one step, and compares `[gradients, parameters, first, second]` with the reference.
fn run(device: &Device, op: Adam, number: u32, state: [&[f32]; 4]) -> Vec<OutputReport> {
    let step = step_after(&op, number);
    let words = state.map(common::words);
    reports(device, op, &words[..1], &words[1..], &step)
}

#[test]
fn adam_and_adamw_of_any_size() {
    let Some(device) = common::gpu() else { return };
    for len in [1, 63, 64, 65, 10_007, 4 * 10_007] {
        for (weight_decay, decoupled) in [(0.0, false), (0.01, false), (0.01, true)] {
            for number in [0, 1, 1000, u32::MAX] {
                let op = adam(len, weight_decay, decoupled);
                let step = step_after(&op, number);
                let mut generator = common::generator(99);
                let mut before = [(); 3].map(|()| common::floats(len, &mut generator));
                before[2].iter_mut().for_each(|mean| *mean = mean.abs());
                let before = before.map(|floats| common::words(&floats));
                let inputs = random_inputs(&op, 7);
                for report in reports(&device, op.clone(), &inputs, &before, &step) {
                    assert!(report.passes(), "{}: {op:?}\n{report:?}", op.name());
                }
            }
        }
    }
}

/// The weights of a unit that was never active: both moments are still zero, and so is the root.
#[test]
fn parameters_without_gradients_do_not_change() {
    let Some(device) = common::gpu() else { return };
    let parameters = [1.0, -2.5, 1e-3, 0.0, 7.0];
    let zeros = [0.0; 5];
    for len in [4, 5] {
        let zeros = &zeros[..len];
        let state = [zeros, &parameters[..len], zeros, zeros];
        for report in run(&device, adam(len, 0.0, false), 5, state) {
            assert_eq!(report.ulp, 0.0, "{report:?}");
        }
    }
}

/// Squares below the smallest normal float, which an adapter may flush to zero.
#[test]
fn gradients_whose_squares_underflow() {
    let Some(device) = common::gpu() else { return };
    let (tiny, normal) = (f32::from_bits(1), f32::MIN_POSITIVE);
    let gradients = [
        1e-17, 3e-18, -1e-18, 1e-19, -1e-20, 1e-22, 1e-30, tiny, normal,
    ];
    let seconds = [0.0, normal, tiny, 1e-38, 0.9e-38, 2e-38, 0.0, tiny, 1e-36];
    let (parameters, firsts) = ([0.5; 9], [1e-19; 9]);
    for len in [8, 9] {
        for eps in [1e-8, 1e-15] {
            let op = Adam {
                eps,
                ..adam(len, 0.0, false)
            };
            let state = [
                &gradients[..len],
                &parameters[..len],
                &firsts[..len],
                &seconds[..len],
            ];
            for report in run(&device, op, 0, state) {
                assert!(report.passes(), "{report:?}");
            }
        }
    }
}
