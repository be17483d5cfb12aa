//! Sums of arrays, means of planes, ReLU, zeroing, SGD and gathering the batch.

use rand::RngExt;
use rand::seq::SliceRandom;
use wgrad::ops::{
    Add, AvgPoolBackward, AvgPoolForward, Gather, Pool, ReluBackward, ReluForward, Sgd,
    SgdMomentum, Step, Zero,
};

use super::{any_step, check, check_random, common};

/// One, a whole workgroup, one more, a prime, more than 65,535 workgroups.
const LENS: [usize; 5] = [1, 64, 65, 10_007, 65_535 * 64 + 1];

#[test]
fn relu_forward_and_backward() {
    let Some(device) = common::gpu() else { return };
    for len in LENS {
        check_random(&device, ReluForward { len });
        check_random(&device, ReluBackward { len });
    }
}

#[test]
fn relu_of_nan_infinity_zeros_and_subnormals() {
    let Some(device) = common::gpu() else { return };
    let tiny = f32::from_bits(1);
    let values = [
        f32::NAN,
        -f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        0.0,
        -0.0,
        tiny,
        -tiny,
    ];
    let len = values.len();
    let values = common::words(&values);
    let gradients = common::words(&[3.0; 8]);
    check(
        &device,
        ReluForward { len },
        std::slice::from_ref(&values),
        &any_step(),
    );
    check(
        &device,
        ReluBackward { len },
        &[values, gradients],
        &any_step(),
    );
}

#[test]
fn add_with_and_without_relu() {
    let Some(device) = common::gpu() else { return };
    for len in LENS.into_iter().chain([4, 4 * 65, 4 * 10_007]) {
        for relu in [false, true] {
            check_random(&device, Add { len, relu });
        }
    }
}

#[test]
fn sums_of_nan_infinity_zeros_and_subnormals() {
    let Some(device) = common::gpu() else { return };
    let (tiny, normal) = (f32::from_bits(1), f32::MIN_POSITIVE);
    let a = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0];
    let a = [
        &a[..],
        &[-0.0, tiny, -tiny, normal, -normal, 3.0, -f32::NAN],
    ]
    .concat();
    let b = [1.0, 1.0, 1.0, -0.0, -0.0, 0.0, tiny, -tiny, tiny];
    let b = [&b[..], &[-normal, -3.0, 0.0]].concat();
    // Vectors of four, and single elements.
    for len in [a.len(), a.len() - 1] {
        let inputs = [common::words(&a[..len]), common::words(&b[..len])];
        for relu in [false, true] {
            check(&device, Add { len, relu }, &inputs, &any_step());
        }
    }
}

#[test]
fn avg_pool_forward_and_backward() {
    let Some(device) = common::gpu() else { return };
    for (planes, area) in [(1, 1), (64, 49), (65, 64), (3, 10_007), (10_007, 3)] {
        let pool = Pool::global(planes, area);
        check_random(&device, AvgPoolForward { pool });
        check_random(&device, AvgPoolBackward { pool });
    }
    let pool = Pool::global(65_535, 65);
    check_random(&device, AvgPoolBackward { pool });
}

#[test]
fn zero() {
    let Some(device) = common::gpu() else { return };
    for len in LENS {
        check_random(&device, Zero { len });
    }
}

#[test]
fn sgd_with_and_without_momentum_and_decay() {
    let Some(device) = common::gpu() else { return };
    for len in LENS {
        for weight_decay in [0.0, 0.01] {
            for (nesterov, selective) in [(false, false), (true, false), (false, true)] {
                let op = Sgd {
                    len,
                    weight_decay,
                    selective,
                };
                check_random(&device, op);
                let op = SgdMomentum {
                    len,
                    weight_decay,
                    momentum: 0.9,
                    nesterov,
                    selective,
                };
                check_random(&device, op);
            }
        }
    }
}

fn check_gather(rows: usize, sample_len: usize, samples: usize, step: &Step) {
    let Some(device) = common::gpu() else { return };
    let mut generator = common::generator(1);
    let mut bytes =
        |len: usize| -> Vec<u32> { (0..len.div_ceil(4)).map(|_| generator.random()).collect() };
    let (images, labels) = (bytes(samples * sample_len), bytes(samples));
    let mut order: Vec<u32> = (0..samples as u32).collect();
    order.shuffle(&mut generator);
    let gather = Gather {
        rows,
        sample_len,
        samples,
    };
    check(&device, gather, &[images, labels, order], step);
}

#[test]
fn gather_of_whole_and_partial_batches() {
    check_gather(1, 1, 1, &Step::new(0, 1, 0, 0.1));
    check_gather(5, 7, 13, &Step::new(3, 5, 0, 0.1));
    check_gather(5, 7, 13, &Step::new(10, 3, 0, 0.1));
    check_gather(32, 784, 101, &Step::new(64, 32, 0, 0.1));
    check_gather(3, 784, 4, &Step::new(3, 1, 0, 0.1));
}

#[test]
fn gather_past_65535_workgroups() {
    check_gather(5351, 784, 5400, &Step::new(11, 5351, 0, 0.1));
}

/// Every byte becomes the f32 nearest to byte/255, or an adjacent one.
#[test]
fn gather_scales_bytes_to_the_unit_interval() {
    for byte in 0..=255u8 {
        let scaled = f32::from(byte) * (1.0 / 255.0);
        let exact = f64::from(byte) / 255.0;
        assert!((f64::from(scaled) - exact).abs() <= exact * f64::from(f32::EPSILON));
    }
    assert_eq!(255.0 * (1.0f32 / 255.0), 1.0);
}
