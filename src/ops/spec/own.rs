//! Which ops are the crate's own: only their kernels may run without run-time checks.

use std::any::Any;

use crate::ops::*;

macro_rules! is_any_of {
    ($op:ident: $($own:ident),+ $(,)?) => { false $(|| $op.is::<$own>())+ };
}

/// Whether `op` is of a type of this crate, so that its kernel and its constants are, too. Others
/// may name any WGSL, also that of `shaders/` with constants of their own.
pub(crate) fn is_own(op: &dyn Op) -> bool {
    let op: &dyn Any = op;
    is_any_of!(op:
        ActivationBackward,
        ActivationForward,
        Adam,
        Add,
        Augment,
        AverageParameters,
        AvgPoolBackward,
        AvgPoolForward,
        BatchNormBackwardInput,
        BatchNormBackwardReduce,
        BatchNormBackwardSums,
        BatchNormForward,
        BatchNormInfer,
        BatchNormMoments,
        BatchNormStatistics,
        BiasBackward,
        BiasForward,
        ClipNorm,
        ClipValue,
        Col2im,
        ConvBackwardInput,
        ConvBackwardWeight,
        ConvForward,
        ConvPoolBackwardWeight,
        ConvPoolForward,
        CopySlice,
        CrossEntropy,
        DepthwiseBackwardInput,
        DepthwiseBackwardWeight,
        DepthwiseForward,
        Dropout,
        ElementLoss,
        FusedLoss,
        Gather,
        GatherArray,
        Gemm,
        GroupNormBackwardInput,
        GroupNormBackwardRuns,
        GroupNormBackwardSums,
        GroupNormForward,
        GroupNormStatistics,
        Im2col,
        LinearBackward,
        Lion,
        MaxPoolBackward,
        MaxPoolBackwardAll,
        MaxPoolForward,
        Metrics,
        MixLabels,
        Mse,
        Multiply,
        Normalize,
        Product,
        ReduceSum,
        ReluBackward,
        ReluForward,
        RmsProp,
        Sgd,
        SgdMomentum,
        SoftCrossEntropy,
        SoftmaxBackward,
        SoftmaxForward,
        SumSquares,
        SumTable,
        UpsampleBackward,
        UpsampleForward,
        Zero,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::case::{Floats, Random};

    #[test]
    fn every_op_is_listed() {
        let mut random = Random::new(1, Floats::Hostile);
        for (family, cases) in FAMILIES {
            for case in cases(&mut random) {
                assert!(is_own(case.op.as_ref()), "{family}: {:?}", case.op);
            }
        }
    }
}
