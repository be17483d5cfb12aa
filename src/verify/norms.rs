//! Normalisations at large sizes.

use super::large::{CLASSES, ROWS};
use crate::ops::{
    BatchNormBackwardInput, BatchNormBackwardReduce, BatchNormBackwardSums, BatchNormForward,
    BatchNormInfer, BatchNormMoments, BatchNormStatistics, Channels, GroupNormBackwardInput,
    GroupNormBackwardRuns, GroupNormBackwardSums, GroupNormForward, GroupNormStatistics, Op, Runs,
    SoftmaxBackward, SoftmaxForward,
};

/// One or two of each op.
pub(super) fn large() -> Vec<Box<dyn Op>> {
    let mut ops = batch_norms();
    ops.extend(group_norms());
    ops.extend(softmaxes());
    ops
}

/// A large batch of small planes, and planes past 2¹⁸ pixels.
fn batch_norms() -> Vec<Box<dyn Op>> {
    let mut ops: Vec<Box<dyn Op>> = Vec::new();
    for (rows, channels, area, relu) in [(ROWS, 5, 100, true), (3, 2, (1 << 18) + 5, false)] {
        ops.push(Box::new(BatchNormMoments {
            rows,
            channels,
            area,
        }));
        ops.push(Box::new(BatchNormStatistics {
            rows,
            channels,
            area,
            eps: 0.125,
            momentum: 0.25,
        }));
        ops.push(Box::new(BatchNormForward {
            rows,
            channels,
            area,
            relu,
        }));
        ops.push(Box::new(BatchNormInfer {
            rows,
            channels,
            area,
            eps: 0.125,
            relu,
        }));
        ops.push(Box::new(BatchNormBackwardSums {
            rows,
            channels,
            area,
            relu,
        }));
        ops.push(Box::new(BatchNormBackwardReduce {
            rows,
            channels,
            area,
            accumulate: relu,
        }));
        ops.push(Box::new(BatchNormBackwardInput {
            rows,
            channels,
            area,
            relu,
        }));
    }
    ops
}

/// A large batch of small groups, runs past 2¹⁸ elements in few channels, and in many.
fn group_norms() -> Vec<Box<dyn Op>> {
    let mut ops: Vec<Box<dyn Op>> = Vec::new();
    let plane = (1 << 18) + 5;
    for (runs, len, area, weights) in [
        (3 * ROWS, 202, 101, Some(6)),
        (4, 2 * plane, plane, Some(4)),
        (5, plane, 1, Some(plane)),
        (5, plane, plane, None),
    ] {
        let runs = Runs {
            runs,
            len,
            area,
            weights,
        };
        ops.push(Box::new(GroupNormStatistics { runs, eps: 0.125 }));
        ops.push(Box::new(GroupNormForward { runs }));
        ops.push(Box::new(GroupNormBackwardSums { runs }));
        ops.push(Box::new(GroupNormBackwardRuns { runs }));
        ops.push(Box::new(GroupNormBackwardInput { runs }));
    }
    ops
}

/// Many rows, many places, and many channels.
fn softmaxes() -> Vec<Box<dyn Op>> {
    let mut ops: Vec<Box<dyn Op>> = Vec::new();
    for (rows, channels, area) in [(ROWS, CLASSES, 1), (2, 3, 521 * 517), (5, 2003, 7)] {
        let sizes = Channels {
            rows,
            channels,
            area,
        };
        ops.push(Box::new(SoftmaxForward { sizes }));
        ops.push(Box::new(SoftmaxBackward { sizes }));
    }
    ops
}
