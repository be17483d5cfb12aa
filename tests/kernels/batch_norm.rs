//! Batch normalisation over whole and partial batches, planes and features.

use wgrad::ops::{
    BatchNormBackwardInput, BatchNormBackwardReduce, BatchNormBackwardSums, BatchNormForward,
    BatchNormInfer, BatchNormMoments, BatchNormStatistics, Op, Step,
};

use super::{check, common, outputs_of, random_inputs};

/// (rows of the batch, channels, area, rows that count): single values, planes split into parts in
/// every way, more parts than a workgroup has lanes, many channels.
const SHAPES: [(usize, usize, usize, u32); 12] = [
    (1, 1, 1, 1),
    (2, 1, 1, 1),
    (64, 7, 1, 64),
    (257, 3, 1, 250),
    (8, 5, 49, 8),
    (8, 5, 49, 3),
    (4, 3, 128, 4),
    (4, 3, 129, 4),
    (3, 2, 132, 2),
    (5, 2, 784, 5),
    (2, 3, 40_001, 2),
    (3, 1000, 4, 2),
];

/// Random inputs of `op`, with the signs of the inputs in `positive` cleared.
fn inputs(op: &dyn Op, positive: &[usize]) -> Vec<Vec<u32>> {
    let mut inputs = random_inputs(op, 7);
    for &input in positive {
        inputs[input]
            .iter_mut()
            .for_each(|word| *word &= 0x7fff_ffff);
    }
    inputs
}

#[test]
fn batch_norm_statistics() {
    let Some(device) = common::gpu() else { return };
    for (rows, channels, area, real) in SHAPES {
        let step = Step::new(0, real, 0, 0.1);
        let moments = BatchNormMoments {
            rows,
            channels,
            area,
        };
        check(&device, moments.clone(), &inputs(&moments, &[]), &step);
        let statistics = BatchNormStatistics {
            rows,
            channels,
            area,
            eps: 1e-5,
            momentum: 0.1,
        };
        check(
            &device,
            statistics.clone(),
            &inputs(&statistics, &[1]),
            &step,
        );
        let of_x = outputs_of(&moments, &inputs(&moments, &[]), &step);
        check(&device, statistics, &of_x, &step);
    }
}

#[test]
fn batch_norm_forward_and_backward() {
    let Some(device) = common::gpu() else { return };
    for (rows, channels, area, real) in SHAPES {
        let step = Step::new(0, real, 0, 0.1);
        for relu in [false, true] {
            let forward = BatchNormForward {
                rows,
                channels,
                area,
                relu,
            };
            check(&device, forward.clone(), &inputs(&forward, &[]), &step);
            let infer = BatchNormInfer {
                rows,
                channels,
                area,
                eps: 1e-5,
                relu,
            };
            check(&device, infer.clone(), &inputs(&infer, &[2]), &step);
            let sums = BatchNormBackwardSums {
                rows,
                channels,
                area,
                relu,
            };
            check(&device, sums.clone(), &inputs(&sums, &[]), &step);
            let input = BatchNormBackwardInput {
                rows,
                channels,
                area,
                relu,
            };
            check(&device, input.clone(), &inputs(&input, &[]), &step);
        }
        for accumulate in [false, true] {
            let reduce = BatchNormBackwardReduce {
                rows,
                channels,
                area,
                accumulate,
            };
            check(&device, reduce.clone(), &inputs(&reduce, &[]), &step);
        }
    }
}

/// Rows beyond the step affect nothing, even if their statistics are NaN.
#[test]
fn batch_norm_ignores_rows_beyond_the_step() {
    let Some(device) = common::gpu() else { return };
    let (rows, channels, area) = (4, 3, 8);
    let step = Step::new(0, 3, 0, 0.1);
    let nan_beyond = |words: &mut Vec<u32>| {
        let real = words.len() / rows * 3;
        words[real..].fill(f32::NAN.to_bits());
    };
    let statistics = BatchNormStatistics {
        rows,
        channels,
        area,
        eps: 1e-5,
        momentum: 0.1,
    };
    let mut read = inputs(&statistics, &[1]);
    read.iter_mut().for_each(nan_beyond);
    check(&device, statistics, &read, &step);

    let forward = BatchNormForward {
        rows,
        channels,
        area,
        relu: false,
    };
    let mut read = inputs(&forward, &[]);
    nan_beyond(&mut read[0]);
    check(&device, forward, &read, &step);

    let reduce = BatchNormBackwardReduce {
        rows,
        channels,
        area,
        accumulate: true,
    };
    let mut read = inputs(&reduce, &[]);
    read.iter_mut().for_each(nan_beyond);
    check(&device, reduce, &read, &step);

    let input = BatchNormBackwardInput {
        rows,
        channels,
        area,
        relu: true,
    };
    let mut read = inputs(&input, &[]);
    read[..3].iter_mut().for_each(nan_beyond);
    check(&device, input, &read, &step);
}

/// Channels far from zero. Constant channels have a variance of exactly zero. With a mean of 1e4
/// and a variance of 1/1024, the mean's rounding is at most 2⁻¹¹, whose square is 2⁻¹² of the
/// variance: 4,096 ulp. Sums of squares would lose all digits.
#[test]
fn batch_norm_statistics_of_channels_far_from_zero() {
    let Some(device) = common::gpu() else { return };
    let (rows, channels, area) = (6, 2, 300);
    let step = Step::new(0, 6, 0, 0.1);
    let moments = BatchNormMoments {
        rows,
        channels,
        area,
    };
    let statistics = BatchNormStatistics {
        rows,
        channels,
        area,
        eps: 1e-5,
        momentum: 0.1,
    };
    let constant = |_: usize| 12_345.678f32;
    let varied = |i: usize| 1e4 + (i % 7) as f32 / 64.0;
    for (value, ulp) in [(&constant as &dyn Fn(usize) -> f32, 2.0), (&varied, 4096.0)] {
        let x: Vec<f32> = (0..rows * channels * area).map(value).collect();
        let x = common::words(&x);
        let before: Vec<Vec<u32>> = [2, 2, 2, 2, 1].map(|len| vec![0; len]).into();
        let parts = [0, 1].map(|_| vec![0; moments.bindings().outputs[0].words]);
        let mut reports = super::reports(
            &device,
            moments.clone(),
            std::slice::from_ref(&x),
            &parts,
            &step,
        );
        // Continue with the reference's moments.
        let of_x = outputs_of(&moments, &[x], &step);
        reports.extend(super::reports(
            &device,
            statistics.clone(),
            &of_x,
            &before,
            &step,
        ));
        for report in reports {
            assert!(report.passes() && report.ulp <= ulp, "{report:?}");
        }
    }
}
