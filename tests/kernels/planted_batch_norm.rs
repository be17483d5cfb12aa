//! Faults planted in the kernels of batch normalisation, each a small change.

use wgrad::ops::{
    BatchNormBackwardInput, BatchNormBackwardReduce, BatchNormBackwardSums, BatchNormForward,
    BatchNormInfer, BatchNormMoments, BatchNormStatistics, Op,
};

/// Of the 70 rows a step has 66; planes are split into two parts of whole vectors of four.
const ROWS: usize = 70;
const CHANNELS: usize = 3;
const AREA: usize = 148;

fn moments(area: usize) -> Box<dyn Op> {
    Box::new(BatchNormMoments {
        rows: ROWS,
        channels: CHANNELS,
        area,
    })
}

fn statistics() -> Box<dyn Op> {
    Box::new(BatchNormStatistics {
        rows: ROWS,
        channels: CHANNELS,
        area: AREA + 1,
        eps: 0.125,
        momentum: 0.75,
    })
}

fn forward(area: usize, relu: bool) -> Box<dyn Op> {
    Box::new(BatchNormForward {
        rows: ROWS,
        channels: CHANNELS,
        area,
        relu,
    })
}

fn infer() -> Box<dyn Op> {
    Box::new(BatchNormInfer {
        rows: ROWS,
        channels: CHANNELS,
        area: AREA,
        eps: 0.125,
        relu: true,
    })
}

fn sums(area: usize) -> Box<dyn Op> {
    Box::new(BatchNormBackwardSums {
        rows: ROWS,
        channels: CHANNELS,
        area,
        relu: true,
    })
}

fn reduce(accumulate: bool) -> Box<dyn Op> {
    Box::new(BatchNormBackwardReduce {
        rows: ROWS,
        channels: CHANNELS,
        area: AREA,
        accumulate,
    })
}

fn input() -> Box<dyn Op> {
    Box::new(BatchNormBackwardInput {
        rows: ROWS,
        channels: CHANNELS,
        area: AREA,
        relu: true,
    })
}

/// The wrong kernels: the change, the op, the text and its replacement.
pub fn mutants() -> Vec<(&'static str, Box<dyn Op>, &'static str, &'static str)> {
    vec![
        (
            "squares of the values, not of deviations",
            moments(AREA),
            "load(x[i]) - average",
            "load(x[i])",
        ),
        (
            "mean of whole parts",
            moments(AREA + 1),
            "total(sum) / f32(size)",
            "total(sum) / f32(PART_LEN)",
        ),
        (
            "parts overlap",
            moments(AREA),
            "return min(PART_LEN, AREA - part * PART_LEN);",
            "return PART_LEN;",
        ),
        (
            "one of four left out",
            moments(AREA),
            "+ (floats.z + floats.w)",
            "+ floats.z",
        ),
        (
            "last element left out",
            moments(AREA + 1),
            "i < end",
            "i + 1u < end",
        ),
        (
            "parts weigh alike",
            statistics(),
            "sum += f32(part_size(i % PARTS)) *",
            "sum += f32(PART_LEN) *",
        ),
        (
            "means of parts do not vary",
            statistics(),
            "square += squares[at] + f32(part_size(i % PARTS)) * (deviation * deviation)",
            "square += squares[at]",
        ),
        (
            "rows beyond the batch count",
            statistics(),
            "let parts = this_step.rows * PARTS",
            "let parts = ROWS * PARTS",
        ),
        (
            "mean over the whole batch",
            statistics(),
            "let count = this_step.rows * AREA",
            "let count = ROWS * AREA",
        ),
        (
            "unbiased variance normalises",
            statistics(),
            "all_squares / f32(count) + EPS",
            "all_squares / f32(count - 1u) + EPS",
        ),
        (
            "running variance is biased",
            statistics(),
            "let unbiased = all_squares / f32(count - 1u)",
            "let unbiased = all_squares / f32(count)",
        ),
        (
            "momentum the other way round",
            statistics(),
            "(1.0 - MOMENTUM) * running_mean[channel] + MOMENTUM * average",
            "MOMENTUM * running_mean[channel] + (1.0 - MOMENTUM) * average",
        ),
        ("eps left out", statistics(), " + EPS);", ");"),
        (
            "each channel counts the batch",
            statistics(),
            "batches[0] += 1u",
            "batches[0] += 2u",
        ),
        (
            "half of the lanes not added",
            statistics(),
            "WORKGROUP_SIZE / 2u; half > 0u",
            "WORKGROUP_SIZE / 4u; half > 0u",
        ),
        (
            "parts of the next channel",
            statistics(),
            "(i / PARTS * CHANNELS + channel) * PARTS + i % PARTS",
            "(i / PARTS + channel * CHANNELS) * PARTS + i % PARTS",
        ),
        (
            "rows beyond the batch are normalised",
            forward(AREA, true),
            "plane / CHANNELS < this_step.rows",
            "true",
        ),
        (
            "channel of another plane",
            forward(AREA, false),
            "let channel = plane % CHANNELS",
            "let channel = plane / ROWS",
        ),
        (
            "below zero passes",
            forward(AREA + 1, true),
            "return select(0.0, floats, passes(gate));",
            "return floats;",
        ),
        (
            "ReLU before the bias",
            infer(),
            "gated(result, result)",
            "gated(result, result - bias[channel])",
        ),
        (
            "deviation for its inverse",
            infer(),
            "inverseSqrt(variance[channel] + EPS)",
            "sqrt(variance[channel] + EPS)",
        ),
        (
            "eps added to the deviation",
            infer(),
            "inverseSqrt(variance[channel] + EPS)",
            "(1.0 / (sqrt(variance[channel]) + EPS))",
        ),
        (
            "mean not subtracted",
            sums(AREA),
            "(load(x[i]) - mean[channel])",
            "load(x[i])",
        ),
        (
            "not divided by the deviation",
            sums(AREA + 1),
            "total(of_weight) * inverse_deviation[channel]",
            "total(of_weight)",
        ),
        (
            "gradient that ReLU stopped",
            sums(AREA),
            "return gated(whole, load(y[index]));",
            "return whole;",
        ),
        (
            "masked by the gradient",
            sums(AREA + 1),
            "gated(whole, load(y[index]))",
            "gated(whole, whole)",
        ),
        (
            "rows beyond the batch count",
            reduce(false),
            "i < this_step.rows * PARTS",
            "i < ROWS * PARTS",
        ),
        (
            "adds where it overwrites",
            reduce(false),
            "if ACCUMULATE {",
            "if !ACCUMULATE {",
        ),
        (
            "sums of the step accumulate",
            reduce(true),
            "sums_of_step[channel] = of_bias",
            "sums_of_step[channel] += of_bias",
        ),
        (
            "sums swapped",
            reduce(false),
            "sums_of_step[CHANNELS + channel] = of_weight",
            "sums_of_step[CHANNELS + channel] = of_bias",
        ),
        (
            "mean of the gradient kept",
            input(),
            "(gradient(index) - of_mean - of_deviation)",
            "(gradient(index) - of_deviation)",
        ),
        (
            "a channel is a plane",
            input(),
            "let count = f32(this_step.rows * AREA)",
            "let count = f32(AREA)",
        ),
        (
            "rows beyond the batch have a gradient",
            input(),
            "plane / CHANNELS < this_step.rows",
            "true",
        ),
        (
            "scale left out of the gradient",
            input(),
            "let result = weight[channel] * inverse",
            "let result = weight[channel]",
        ),
    ]
}
