//! Losses and metrics, of whole and of partial batches.

use rand::RngExt;
use wgrad::ops::{CrossEntropy, Metrics, Mse, Op, Step};

use super::{check, common};

/// (rows of the batch, classes, rows that count).
const SHAPES: [(usize, usize, u32); 8] = [
    (1, 1, 1),
    (1, 10, 1),
    (32, 10, 32),
    (32, 10, 17),
    (64, 2, 64),
    (65, 7, 65),
    (257, 101, 250),
    (1024, 10, 1000),
];

fn labels(rows: usize, classes: usize) -> Vec<u32> {
    let mut generator = common::generator(2);
    (0..rows)
        .map(|_| generator.random_range(0..classes as u32))
        .collect()
}

/// Random logits of that spread; every fifth row ties throughout.
fn logits(rows: usize, classes: usize, spread: f32) -> Vec<u32> {
    let mut generator = common::generator(3);
    let values = (0..rows * classes).map(|i| {
        let random = spread * (generator.random::<f32>() - 0.5);
        if i / classes % 5 == 4 { 0.125 } else { random }
    });
    common::words(&values.collect::<Vec<_>>())
}

fn check_loss(op: impl Op + Clone + 'static, rows: usize, classes: usize, step: &Step) {
    let Some(device) = common::gpu() else { return };
    for spread in [1e-3, 1.0, 20.0, 150.0] {
        let inputs = [logits(rows, classes, spread), labels(rows, classes)];
        check(&device, op.clone(), &inputs, step);
    }
}

#[test]
fn mse() {
    for (rows, classes, real) in SHAPES {
        for scale in [2.0, 2.0 / classes as f32] {
            let op = Mse {
                rows,
                classes,
                scale,
            };
            check_loss(op, rows, classes, &Step::new(0, real, 0, 0.1));
        }
    }
}

#[test]
fn cross_entropy() {
    for (rows, classes, real) in SHAPES {
        let op = CrossEntropy { rows, classes };
        check_loss(op, rows, classes, &Step::new(0, real, 0, 0.1));
    }
}

#[test]
fn metrics() {
    let Some(device) = common::gpu() else { return };
    for (rows, classes, real) in SHAPES {
        for slot in [0, 3] {
            let row_loss = logits(rows, 1, 3.0);
            let inputs = [row_loss, logits(rows, classes, 1.0), labels(rows, classes)];
            let op = Metrics {
                rows,
                classes,
                slots: 4,
            };
            check(&device, op, &inputs, &Step::new(0, real, slot, 0.1));
        }
    }
}

/// The two reductions differ by the number of classes, in the loss and in its gradient.
#[test]
fn reductions_of_mse() {
    use wgrad::{Loss, Reduction};
    let (mean, batch_mean) = (Loss::Mse(Reduction::Mean), Loss::Mse(Reduction::BatchMean));
    assert_eq!(mean.of_sum(6.0, 3, 4), 0.5);
    assert_eq!(batch_mean.of_sum(6.0, 3, 4), 2.0);
    assert_eq!(batch_mean.reported(), mean);
    assert_eq!(Loss::CrossEntropy.of_sum(6.0, 3, 4), 2.0);
}
