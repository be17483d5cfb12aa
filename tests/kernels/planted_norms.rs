//! Faults planted in the ops of group and layer normalisation and of softmax.

use wgrad::ops::{
    Channels, GroupNormBackwardInput, GroupNormBackwardRuns, GroupNormBackwardSums,
    GroupNormForward, GroupNormStatistics, Op, Runs, SoftmaxBackward, SoftmaxForward,
};

/// The change to the kernel, the op, the text and its replacement.
type Planted = (&'static str, Box<dyn Op>, &'static str, &'static str);

/// Two samples of two groups of three channels, each of two parts.
const GROUPS: Runs = Runs {
    runs: 4,
    len: 3 * 151,
    area: 151,
    weights: Some(6),
};

/// Five rows of seventy features.
const FEATURES: Runs = Runs {
    runs: 5,
    len: 70,
    area: 1,
    weights: Some(70),
};

/// Three runs without weights.
const PLAIN: Runs = Runs {
    runs: 3,
    len: 300,
    area: 300,
    weights: None,
};

fn forward() -> Vec<Planted> {
    let statistics = || {
        Box::new(GroupNormStatistics {
            runs: GROUPS,
            eps: 0.01,
        })
    };
    let normalise = |runs| Box::new(GroupNormForward { runs });
    vec![
        (
            "parts of equal weight",
            statistics(),
            "sum += f32(part_size(part))",
            "sum += f32(PART_LEN)",
        ),
        (
            "means not from the origin",
            statistics(),
            "let average = origin + sum",
            "let average = sum",
        ),
        (
            "part left out",
            statistics(),
            "part < PARTS",
            "part + 1u < PARTS",
        ),
        (
            "parts of the first run",
            statistics(),
            "let first = run * PARTS",
            "let first = 0u",
        ),
        (
            "means taken for equal",
            statistics(),
            " + f32(part_size(part)) * (deviation * deviation)",
            "",
        ),
        (
            "eps forgotten",
            statistics(),
            "f32(AREA) + EPS",
            "f32(AREA)",
        ),
        (
            "unbiased",
            statistics(),
            "square / f32(AREA)",
            "square / f32(AREA - 1u)",
        ),
        (
            "statistics of the first run",
            normalise(GROUPS),
            "let run = index / RUN_LEN",
            "let run = 0u",
        ),
        (
            "weight of the element",
            normalise(GROUPS),
            "index / WEIGHT_LEN % WEIGHTS",
            "index % WEIGHTS",
        ),
        (
            "weight of the run",
            normalise(GROUPS),
            "index / WEIGHT_LEN % WEIGHTS",
            "run % WEIGHTS",
        ),
        ("bias forgotten", normalise(FEATURES), " + bias[own]", ""),
        (
            "weights that are not there",
            normalise(PLAIN),
            "if AFFINE {",
            "if !AFFINE {",
        ),
        (
            "mean forgotten",
            normalise(PLAIN),
            "(x[index] - mean[run])",
            "x[index]",
        ),
    ]
}

fn backward() -> Vec<Planted> {
    let sums = |runs| Box::new(GroupNormBackwardSums { runs });
    let of_runs = |runs| Box::new(GroupNormBackwardRuns { runs });
    let input = |runs| Box::new(GroupNormBackwardInput { runs });
    vec![
        (
            "last of a part left out",
            sums(GROUPS),
            "i < end",
            "i + 1u < end",
        ),
        (
            "parts of full length",
            sums(GROUPS),
            "begin + part_size(part)",
            "begin + PART_LEN",
        ),
        (
            "mean of another run",
            sums(GROUPS),
            "let run = begin / RUN_LEN",
            "let run = begin / AREA % RUNS",
        ),
        (
            "not divided by the deviation",
            sums(FEATURES),
            "of_weight * inverse_deviation[run]",
            "of_weight",
        ),
        (
            "mean not subtracted",
            sums(PLAIN),
            "(x[i] - mean[run])",
            "x[i]",
        ),
        (
            "weight of the first area",
            of_runs(GROUPS),
            "at / PARTS % WEIGHTS",
            "i / PARTS % WEIGHTS",
        ),
        (
            "weight of the part",
            of_runs(GROUPS),
            "at / PARTS % WEIGHTS",
            "at % WEIGHTS",
        ),
        (
            "weights forgotten",
            of_runs(FEATURES),
            "if AFFINE {",
            "if !AFFINE {",
        ),
        (
            "lanes left out",
            of_runs(FEATURES),
            "half = WORKGROUP_SIZE / 2u",
            "half = WORKGROUP_SIZE / 4u",
        ),
        (
            "parts of other lanes left out",
            of_runs(FEATURES),
            "i < parts",
            "i < 1u",
        ),
        (
            "sums swapped",
            of_runs(PLAIN),
            "sums_of_runs[2u * run] = all_of_bias",
            "sums_of_runs[2u * run] = all_of_weight",
        ),
        ("gradient through the mean", input(GROUPS), " - of_mean", ""),
        (
            "gradient through the deviation",
            input(GROUPS),
            " - normal * of_deviation",
            "",
        ),
        (
            "sums not divided",
            input(PLAIN),
            "sums[2u * run + 1u] / f32(RUN_LEN)",
            "sums[2u * run + 1u]",
        ),
        (
            "weight of the element",
            input(GROUPS),
            "index / AREA % WEIGHTS",
            "index % WEIGHTS",
        ),
        (
            "gradient not weighted",
            input(FEATURES),
            "gradient *= weight[",
            "gradient += weight[",
        ),
        (
            "deviation not divided",
            input(FEATURES),
            "(x[index] - mean[run]) * inverse",
            "x[index] - mean[run]",
        ),
    ]
}

fn softmax() -> Vec<Planted> {
    let sizes = Channels {
        rows: 3,
        channels: 5,
        area: 14,
    };
    let forward = || Box::new(SoftmaxForward { sizes });
    let backward = || Box::new(SoftmaxBackward { sizes });
    vec![
        (
            "neighbours for channels",
            forward(),
            "let bits = logits[first + c * CLASS_STRIDE]",
            "let bits = logits[first + c]",
        ),
        (
            "sum of neighbours",
            forward(),
            "exponential(logits[first + c * CLASS_STRIDE], bitcast",
            "exponential(logits[first + c], bitcast",
        ),
        (
            "sum of the first places",
            forward(),
            "let found = softmax(first)",
            "let found = softmax(place % CLASS_STRIDE)",
        ),
        ("not divided", forward(), " / found.sum", ""),
        (
            "last channel left out",
            forward(),
            "c < CLASSES",
            "c + 1u < CLASSES",
        ),
        (
            "places of the first row",
            forward(),
            "place / CLASS_STRIDE * CLASSES * CLASS_STRIDE + ",
            "",
        ),
        (
            "sum forgotten",
            backward(),
            "(d_output[at] - sum)",
            "d_output[at]",
        ),
        (
            "sum of gradients",
            backward(),
            "d_output[at] * output[at];",
            "d_output[at];",
        ),
        (
            "not times the share",
            backward(),
            "output[at] * (d_output",
            "(d_output",
        ),
        (
            "shares of the first class in the sum",
            backward(),
            "sum += d_output[at] * output[at]",
            "sum += d_output[at] * output[first]",
        ),
    ]
}

pub fn mutants() -> Vec<Planted> {
    let mut all = forward();
    all.extend(backward());
    all.extend(softmax());
    all
}
