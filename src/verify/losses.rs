//! The losses, and the ops that gather and prepare batches, at large sizes.

use super::large::{CLASSES, ROWS};
use crate::ops::{
    Augment, Changes, CrossEntropy, Difference, ElementFunction, ElementLoss, FusedLoss, Gather,
    GatherArray, Metrics, MixLabels, Mse, Normalize, Op, RowLoss, SoftCrossEntropy, Stored,
    SumTable,
};

/// One or two of each op.
pub(super) fn large() -> Vec<Box<dyn Op>> {
    let (rows, classes) = (ROWS, CLASSES);
    let mse = Mse {
        rows,
        classes,
        scale: 2.0,
    };
    let cross_entropy = CrossEntropy { rows, classes };
    let metrics = Metrics {
        rows,
        classes,
        slots: 256,
    };
    let mut ops: Vec<Box<dyn Op>> = vec![
        Box::new(mse.clone()),
        Box::new(cross_entropy.clone()),
        Box::new(metrics.clone()),
        Box::new(Gather {
            rows,
            sample_len: 28 * 28,
            samples: rows + 5,
        }),
    ];
    for loss in [RowLoss::Mse(mse), RowLoss::CrossEntropy(cross_entropy)] {
        for gathered in [None, Some(rows + 5)] {
            ops.push(Box::new(FusedLoss {
                loss: loss.clone(),
                metrics: metrics.clone(),
                gathered,
            }));
        }
    }
    ops.push(Box::new(GatherArray {
        rows,
        len: 3 * 28 * 28,
        samples: rows + 5,
        stored: Stored::Scaled,
    }));
    ops.push(Box::new(SoftCrossEntropy {
        rows,
        classes,
        area: 5,
        hard: true,
        smoothing: 0.125,
        scale: 0.2,
    }));
    ops.push(Box::new(MixLabels {
        rows,
        classes,
        samples: rows + 5,
    }));
    ops.push(Box::new(Augment {
        rows,
        channels: 3,
        plane: 32.into(),
        samples: rows + 5,
        changes: Changes {
            flip: true,
            shift: 4.into(),
            rotation: 1 << 12,
            zoom: [3000, 5000],
            contrast: [700, 1400],
            brightness: 50 << 6,
            cutout: 8,
            fill: 9,
        },
    }));
    ops.push(Box::new(Normalize {
        rows,
        channels: 3,
        area: 700,
    }));
    for function in [
        ElementFunction::BinaryCrossEntropy,
        ElementFunction::Difference(Difference::Huber(0.5)),
    ] {
        ops.push(Box::new(ElementLoss {
            rows,
            len: 515,
            function,
            scale: 1.0,
        }));
    }
    for counts in [false, true] {
        ops.push(Box::new(SumTable {
            rows,
            row_len: 33,
            slots: 256,
            counts,
        }));
    }
    ops
}
