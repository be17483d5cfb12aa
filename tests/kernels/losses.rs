//! Losses and metrics, for whole and partial batches.

use rand::RngExt;
use wgrad::ops::{CrossEntropy, FusedLoss, Metrics, Mse, Op, RowLoss, Step};

use super::{check, common, outputs_of};

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

/// Random logits in a range of that width; in every fifth row all logits are equal.
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

/// The two reductions differ by a factor of the number of classes, in the loss and in its gradient.
#[test]
fn reductions_of_mse() {
    use wgrad::{Loss, Reduction};
    let (mean, batch_mean) = (Loss::Mse(Reduction::Mean), Loss::Mse(Reduction::BatchMean));
    assert_eq!(mean.of_sum(6.0, 3, &[8, 4].into()), 0.5);
    assert_eq!(batch_mean.of_sum(6.0, 3, &[8, 4].into()), 2.0);
    assert_eq!(batch_mean.reported(), mean);
    assert_eq!(Loss::CrossEntropy.of_sum(6.0, 3, &[8, 4].into()), 2.0);
}

/// Rows of four logits that are not all finite, the label of each, and whether the cross-entropy is
/// a number. Infinity counts as one: it occurs if the label's logit is −∞ and another is not.
const HOSTILE: [([f32; 4], u32, bool); 14] = {
    const NAN: f32 = f32::NAN;
    const INF: f32 = f32::INFINITY;
    [
        ([NAN, 1.0, 2.0, 3.0], 0, false),
        ([1.0, 2.0, NAN, 3.0], 0, false),
        ([1.0, -NAN, 2.0, 3.0], 1, false),
        ([NAN, NAN, NAN, NAN], 2, false),
        ([INF, 1.0, 2.0, 3.0], 0, false),
        ([1.0, 2.0, 3.0, INF], 0, false),
        ([INF, INF, 1.0, -INF], 1, false),
        ([INF, NAN, -INF, 0.0], 3, false),
        ([-INF, -INF, -INF, -INF], 1, false),
        ([NAN, -INF, -INF, -INF], 1, false),
        ([1.0, -INF, 2.0, 3.0], 0, true),
        ([1.0, -INF, 2.0, 3.0], 1, true),
        ([-INF, -INF, -INF, 5.0], 3, true),
        ([3e38, -3e38, 1.0, 0.0], 1, true),
    ]
};

/// The hostile rows alternating with ordinary ones, and their labels.
fn hostile_rows() -> [Vec<u32>; 2] {
    let ordinary = ([0.5f32, -1.0, 2.0, 0.25], 2u32);
    let rows = HOSTILE
        .iter()
        .flat_map(|&(row, label, _)| [(row, label), ordinary]);
    let (logits, labels): (Vec<_>, Vec<_>) = rows.unzip();
    [common::words(logits.as_flattened()), labels]
}

/// A loss that is not a number is never reported as one: the bound requires NaN and ∞ where the
/// reference has them, in the losses, their gradients and the sums.
#[test]
fn rows_that_are_not_finite() {
    let Some(device) = common::gpu() else { return };
    let inputs = hostile_rows();
    let (rows, classes) = (inputs[1].len(), 4);
    let cross_entropy = CrossEntropy { rows, classes };
    let mse = Mse {
        rows,
        classes,
        scale: 0.5,
    };
    let step = Step::new(0, rows as u32, 1, 0.1);
    let expected = outputs_of(&cross_entropy, &inputs, &step);
    for (row, (_, _, is_number)) in HOSTILE.iter().enumerate() {
        let loss = f32::from_bits(expected[0][2 * row]);
        assert_eq!(!loss.is_nan(), *is_number, "{:?}: {loss}", HOSTILE[row]);
    }
    check(&device, cross_entropy.clone(), &inputs, &step);
    check(&device, mse.clone(), &inputs, &step);
    for (op, loss) in [
        (&mse as &dyn Op, RowLoss::Mse(mse.clone())),
        (&cross_entropy, RowLoss::CrossEntropy(cross_entropy.clone())),
    ] {
        // All rows, and each alone, so that no NaN hides another in a sum.
        let alone = (0..rows).map(|row| row..row + 1);
        for range in std::iter::once(0..rows).chain(alone) {
            let logits = inputs[0][4 * range.start..4 * range.end].to_vec();
            let labels = inputs[1][range.clone()].to_vec();
            let rows = range.len();
            let step = Step::new(0, rows as u32, 1, 0.1);
            let metrics = Metrics {
                rows,
                classes,
                slots: 3,
            };
            let loss = match loss.clone() {
                RowLoss::Mse(mse) => RowLoss::Mse(Mse { rows, ..mse }),
                RowLoss::CrossEntropy(_) => RowLoss::CrossEntropy(CrossEntropy { rows, classes }),
            };
            let whole = Step::new(0, inputs[1].len() as u32, 1, 0.1);
            let row_loss = outputs_of(op, &inputs, &whole)[0][range].to_vec();
            let of_metrics = [row_loss, logits.clone(), labels.clone()];
            check(&device, metrics.clone(), &of_metrics, &step);
            for gathered in [None, Some(rows)] {
                let order: Vec<u32> = (0..rows as u32).collect();
                let labels = match gathered {
                    Some(_) => labels.chunks(4).map(bytes).collect(),
                    None => labels.clone(),
                };
                let op = FusedLoss {
                    loss: loss.clone(),
                    metrics: metrics.clone(),
                    gathered,
                };
                check(&device, op, &[logits.clone(), labels, order], &step);
            }
        }
    }
}

/// Up to four labels packed into the bytes of a word.
fn bytes(labels: &[u32]) -> u32 {
    (0..).zip(labels).map(|(i, label)| label << (8 * i)).sum()
}

/// A finite loss must not pass for one that is not, nor may a wrong one hide behind a row that is
/// not finite.
#[test]
fn bounds_stay_tight_beside_rows_that_are_not_finite() {
    let inputs = hostile_rows();
    let rows = inputs[1].len();
    let op = CrossEntropy { rows, classes: 4 };
    let step = Step::new(0, rows as u32, 0, 0.1);
    // All rows but the last hostile one, whose logits are 6e38 apart.
    let finite = |words: &[u32], of_row: usize| words[..words.len() - 2 * of_row].to_vec();
    let inputs = [finite(&inputs[0], 4), finite(&inputs[1], 1)];
    let op = CrossEntropy {
        rows: rows - 2,
        ..op
    };
    let mut outputs = outputs_of(&op, &inputs, &step);
    let expected: Vec<Vec<f32>> = (outputs.iter())
        .map(|words| words.iter().map(|&word| f32::from_bits(word)).collect())
        .collect();
    let args = wgrad::ops::Args {
        inputs: inputs.iter().map(Vec::as_slice).collect(),
        outputs: outputs.iter_mut().map(Vec::as_mut_slice).collect(),
        step: &step,
    };
    for (index, bound) in op.error_bounds(&args).into_iter().enumerate() {
        let allowed = bound.allowed(&op, &args, index, &expected[index]);
        let largest = allowed.iter().copied().fold(0.0, f64::max);
        assert!(largest < 1e-4, "output {index} may err by {largest}");
    }
}
