//! GEMM, the sum of partial results, bias and its gradient.

use wgrad::ops::{BiasBackward, BiasForward, Gemm, Operand, ReduceSum};

use super::{check_random, common};

const PLAIN: Operand = Operand::PLAIN;
const TRANSPOSED: Operand = Operand::TRANSPOSED;

#[test]
fn gemm_of_every_layout() {
    let Some(device) = common::gpu() else { return };
    let layouts = [PLAIN, TRANSPOSED, PLAIN.shared(), TRANSPOSED.shared()];
    for a in layouts {
        for b in layouts {
            check_random(&device, Gemm::new(3, [5, 7, 11], a, b));
        }
    }
}

#[test]
fn gemm_of_odd_prime_tiny_and_large_shapes() {
    let Some(device) = common::gpu() else { return };
    let shapes = [
        [1, 1, 1],
        [1, 1, 1009],
        [1, 67, 1],
        [67, 1, 3],
        [3, 3, 3],
        [4, 4, 4],
        [5, 5, 5],
        [4, 676, 9],
        [32, 676, 32],
        [127, 131, 137],
    ];
    for shape in shapes {
        check_random(&device, Gemm::new(1, shape, PLAIN, PLAIN));
        check_random(&device, Gemm::new(2, shape, TRANSPOSED, TRANSPOSED));
    }
}

#[test]
fn gemm_accumulates_and_splits_its_inner_dimension() {
    let Some(device) = common::gpu() else { return };
    for split_k in [1, 2, 3, 7, 8] {
        for accumulate in [false, true] {
            for b in [PLAIN, TRANSPOSED] {
                let whole = Gemm::new(2, [6, 5, 23], PLAIN, b);
                check_random(
                    &device,
                    Gemm {
                        split_k,
                        accumulate,
                        ..whole
                    },
                );
            }
        }
    }
    // More parts than elements of K: the last parts are empty.
    let split = Gemm {
        split_k: 5,
        ..Gemm::new(1, [2, 3, 6], PLAIN, PLAIN)
    };
    check_random(&device, split);
}

#[test]
fn gemm_past_65535_workgroups() {
    let Some(device) = common::gpu() else { return };
    let batch = 65_535 * 64 + 77;
    check_random(&device, Gemm::new(batch, [1, 1, 2], PLAIN, PLAIN.shared()));
}

#[test]
fn reduce_sum() {
    let Some(device) = common::gpu() else { return };
    let large = 65_535 * 64 + 13;
    for (parts, len) in [(1, 1), (1, 65), (2, 64), (7, 101), (1009, 3), (2, large)] {
        for accumulate in [false, true] {
            let whole = ReduceSum {
                accumulate,
                ..ReduceSum::new(parts, len)
            };
            check_random(&device, whole);
        }
    }
}

#[test]
fn bias_forward_and_backward() {
    let Some(device) = common::gpu() else { return };
    for (batch, channels, area) in [
        (1, 1, 1),
        (3, 5, 1),
        (2, 3, 7),
        (5, 1, 169),
        (32, 4, 676),
        (7, 599_187, 1),
    ] {
        let forward = BiasForward {
            batch,
            channels,
            area,
        };
        check_random(&device, forward);
        let rows = batch * channels;
        check_random(&device, BiasBackward { rows, area });
    }
}
