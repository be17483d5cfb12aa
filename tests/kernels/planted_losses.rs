//! Faults planted in the losses between arrays, the gathering of arrays, and the sums of metrics.

use wgrad::ops::{
    Difference, ElementFunction, ElementLoss, GatherArray, Op, SoftCrossEntropy, Stored, SumTable,
};

/// The change to the kernel, the op, the text and its replacement.
type Planted = (&'static str, Box<dyn Op>, &'static str, &'static str);

pub fn mutants() -> Vec<Planted> {
    let gather = |stored| {
        Box::new(GatherArray {
            rows: 70,
            len: 7,
            samples: 70,
            stored,
        })
    };
    let sum = |counts| {
        Box::new(SumTable {
            rows: 70,
            row_len: 5,
            slots: 3,
            counts,
        })
    };
    let soft = |hard| {
        Box::new(SoftCrossEntropy {
            rows: 70,
            classes: 5,
            area: 2,
            hard,
            smoothing: 0.125,
            scale: 0.5,
        })
    };
    let elements = |function| {
        Box::new(ElementLoss {
            rows: 70,
            len: 37,
            function,
            scale: 1.0 / 37.0,
        })
    };
    let difference = |difference| elements(ElementFunction::Difference(difference));
    let binary = || elements(ElementFunction::BinaryCrossEntropy);
    vec![
        (
            "the order ignored",
            gather(Stored::Words) as Box<dyn Op>,
            "order[this_step.offset + row] * LEN",
            "row * LEN",
        ),
        (
            "bytes of a word in reverse",
            gather(Stored::Bytes),
            "index % 4u * 8u",
            "(3u - index % 4u) * 8u",
        ),
        (
            "bytes divided by 256",
            gather(Stored::Scaled),
            "1.0 / 255.0",
            "1.0 / 256.0",
        ),
        (
            "padding rows read",
            gather(Stored::Words),
            "row < this_step.rows",
            "row < ROWS",
        ),
        (
            "padding rows added",
            sum(false),
            "i < this_step.rows * ROW_LEN",
            "i < 70u * ROW_LEN",
        ),
        (
            "a lane's last count alone added",
            sum(true),
            "sum += counts[i]",
            "sum = counts[i]",
        ),
        (
            "half of the lanes lost",
            sum(true),
            "count_parts[lane] += count_parts[lane + half]",
            "count_parts[lane] = count_parts[lane + half]",
        ),
        (
            "class weights ignored",
            soft(true),
            "weights[c] * (",
            "weights[0] * (",
        ),
        (
            "labels not smoothed",
            soft(true),
            "SMOOTHING / f32(CLASSES)",
            "0.0 * SMOOTHING",
        ),
        (
            "pixels mixed up",
            soft(false),
            "row * CLASSES * AREA + index % AREA",
            "row * CLASSES * AREA + (index + 1u) % AREA",
        ),
        (
            "the mean over pixels forgotten",
            soft(false),
            "(SCALE * this_step.inverse_rows)",
            "this_step.inverse_rows",
        ),
        (
            "shares that do not add up to one ignored",
            soft(false),
            "probability * all_shares",
            "probability",
        ),
        (
            "the last of equal logits chosen",
            soft(true),
            "ordered_key(logits[at]) > ordered_key",
            "ordered_key(logits[at]) >= ordered_key",
        ),
        (
            "every prediction right",
            soft(true),
            "select(0u, 1u, best == ",
            "select(1u, 1u, best == ",
        ),
        (
            "a square halved",
            difference(Difference::Square),
            "vec2<f32>(error * error, 2.0 * error)",
            "vec2<f32>(0.5 * error * error, error)",
        ),
        (
            "a sign reversed",
            difference(Difference::Absolute),
            "keys.x < keys.y",
            "keys.x > keys.y",
        ),
        (
            "Huber's line too high",
            difference(Difference::Huber(0.5)),
            "size - 0.5 * DELTA",
            "size - 0.25 * DELTA",
        ),
        (
            "Huber's slope not bounded",
            difference(Difference::Huber(0.5)),
            "sign(error) * DELTA",
            "error",
        ),
        (
            "the last run too long",
            difference(Difference::Square),
            "min(first + RUN, (row + 1u) * LEN)",
            "first + RUN",
        ),
        (
            "the target's product added",
            binary(),
            "max(x, 0.0) - x * wanted",
            "max(x, 0.0) + x * wanted",
        ),
        (
            "the slope of positive logits alone",
            binary(),
            "select(soft.y, 1.0, x >= 0.0)",
            "1.0",
        ),
        (
            "targets of one half wanted",
            binary(),
            "bitcast<u32>(wanted)) > half",
            "bitcast<u32>(wanted)) > zero",
        ),
    ]
}
