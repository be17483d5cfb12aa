//! The operations of plans: one small struct each, in a file of its name, with the kernel in the
//! file of the same stem in `shaders/`.
//!
//! An op knows its own sizes and nothing of layers, plans or devices. It gives the kernel and its
//! constants, its cost, the CPU reference (f32 in, f64 inside, rounded once to f32), and the error
//! bound.

mod activation;
mod adam;
mod add;
mod augment;
mod average;
mod avg_pool;
mod batch_norm;
mod batch_norm_backward;
mod batch_norm_backward_input;
mod batch_norm_statistics;
mod bias;
mod clip;
mod col2im;
mod conv;
mod conv_input;
mod conv_pool;
mod conv_pool_weight;
mod conv_tile;
mod conv_weight;
mod copy_slice;
mod cross_entropy;
mod depthwise;
mod depthwise_weight;
mod dropout;
mod element_loss;
mod fused_loss;
mod gather;
mod gather_array;
mod gemm;
mod gemm_4x4;
mod gemm_8x8;
mod gemm_broadcast;
mod gemm_lanes;
mod gemm_subgroup;
mod gemm_tile;
mod gemm_workgroup;
mod group_norm;
mod group_norm_backward;
mod im2col;
mod linear_backward;
mod lion;
mod max_pool;
mod max_pool_backward;
mod metrics;
mod mix_labels;
mod mse;
mod multiply;
mod normalize;
mod product;
mod reduce;
mod reference;
mod relu;
mod rms_prop;
mod sgd;
mod sizes;
mod soft_cross_entropy;
mod softmax;
mod spec;
mod sum_table;
mod upsample;
mod zero;

use std::any::Any;
use std::fmt::Debug;

pub use activation::{Activation, ActivationBackward, ActivationForward};
pub use adam::Adam;
pub use add::Add;
pub use augment::{Augment, Changes};
pub use average::AverageParameters;
pub use avg_pool::{AvgPoolBackward, AvgPoolForward};
pub use batch_norm::{BatchNormForward, BatchNormInfer};
pub use batch_norm_backward::{BatchNormBackwardReduce, BatchNormBackwardSums};
pub use batch_norm_backward_input::BatchNormBackwardInput;
pub use batch_norm_statistics::{BatchNormMoments, BatchNormStatistics};
pub use bias::{BiasBackward, BiasForward};
use case::{Case, Random};
pub use clip::{ClipNorm, ClipValue, SumSquares};
pub use col2im::Col2im;
pub use conv::ConvForward;
pub use conv_input::ConvBackwardInput;
pub use conv_pool::{ConvPoolForward, NO_PIXEL};
pub use conv_pool_weight::ConvPoolBackwardWeight;
pub use conv_tile::ConvTile;
pub use conv_weight::ConvBackwardWeight;
pub use copy_slice::CopySlice;
pub use cross_entropy::CrossEntropy;
pub use depthwise::{DepthwiseBackwardInput, DepthwiseForward};
pub use depthwise_weight::DepthwiseBackwardWeight;
pub use dropout::Dropout;
pub use element_loss::{Difference, ElementFunction, ElementLoss};
pub use fused_loss::{FusedLoss, RowLoss};
pub use gather::Gather;
pub use gather_array::{GatherArray, Stored};
pub use gemm::{Gemm, Operand};
pub use group_norm::{GroupNormForward, GroupNormStatistics};
pub use group_norm_backward::{
    GroupNormBackwardInput, GroupNormBackwardRuns, GroupNormBackwardSums,
};
pub use im2col::Im2col;
pub use linear_backward::LinearBackward;
pub use lion::Lion;
pub use max_pool::MaxPoolForward;
pub use max_pool_backward::{MaxPoolBackward, MaxPoolBackwardAll};
pub(crate) use metrics::first_largest;
pub use metrics::{METRIC_WORDS, Metrics};
pub use mix_labels::MixLabels;
pub use mse::Mse;
pub use multiply::Multiply;
pub use normalize::Normalize;
pub use product::kernel::GemmKernel;
pub use product::{Epilogue, Product};
pub use reduce::ReduceSum;
pub use relu::{ReluBackward, ReluForward};
pub use rms_prop::RmsProp;
pub use sgd::{Sgd, SgdMomentum};
pub use sizes::conv::ConvSizes;
pub use sizes::decay::DECAY_BLOCK;
pub use sizes::depthwise::DepthwiseSizes;
pub use sizes::group_norm::Runs;
pub use sizes::pool::{Bins, Pool};
pub(crate) use sizes::ratio::check_ratios;
pub use soft_cross_entropy::SoftCrossEntropy;
pub use softmax::{Channels, SoftmaxBackward, SoftmaxForward};
pub use spec::bindings::{Access, Args, Binding, Bindings, Content, Cost};
pub use spec::bound::{EPSILON, ErrorBound, SMALLEST_NORMAL};
pub use spec::case;
pub use spec::element::{Element, Elements, Sum, Words};
pub use spec::launch::{Launch, WORKGROUP_SIZE, nested_loops};
pub(crate) use spec::own::is_own;
pub use spec::shader::{Loads, Prelude, Shader};
pub use spec::split::{Slot, Split, SplitStep};
pub use spec::step::{Step, StepMetrics};
use spec::{bound, element};
pub use sum_table::SumTable;
pub use upsample::{Interpolation, Resize, UpsampleBackward, UpsampleForward};
pub use zero::Zero;

/// Lists the families of ops, each a file of this folder and one of `shaders/`.
macro_rules! families {
    ($($together:ident),+; $($apart:ident),+ $(,)?) => {
        /// Every family of ops: its name, and a generator of cases of each of its ops.
        pub const FAMILIES: &[(&str, fn(&mut Random) -> Vec<Case>)] = &[
            $((stringify!($together), $together::cases),)+
            $((stringify!($apart), $apart::cases),)+
        ];

        /// The number of families, from the first on, that draw their cases from one random source.
        /// Each of the others has its own, so that a new family changes no other's cases.
        pub const DRAWN_TOGETHER: usize = [$(stringify!($together)),+].len();

        /// The WGSL of every family.
        pub const SHADERS: &[Shader] = &[$($together::SHADER,)+ $($apart::SHADER,)+];
    };
}

families!(
    batch_norm,
    batch_norm_backward,
    batch_norm_statistics,
    bias,
    col2im,
    conv,
    conv_pool,
    cross_entropy,
    fused_loss,
    gather,
    gemm,
    gemm_4x4,
    gemm_8x8,
    gemm_broadcast,
    gemm_lanes,
    gemm_subgroup,
    gemm_workgroup,
    im2col,
    max_pool,
    metrics,
    mse,
    reduce,
    relu,
    sgd,
    zero;
    activation,
    adam,
    add,
    augment,
    average,
    avg_pool,
    clip,
    conv_tile,
    copy_slice,
    depthwise,
    dropout,
    element_loss,
    gather_array,
    gemm_tile,
    group_norm,
    group_norm_backward,
    linear_backward,
    lion,
    mix_labels,
    multiply,
    normalize,
    rms_prop,
    soft_cross_entropy,
    softmax,
    sum_table,
    upsample,
);

/// One operation over flat arrays of 32-bit words.
pub trait Op: Any + Debug + Send + Sync + OpClone {
    /// The op's name, which is also the kernel's entry point and the pipeline's label.
    fn name(&self) -> &'static str;

    /// The arrays of group 0.
    fn bindings(&self) -> Bindings;

    /// The kernel, and how it is started.
    fn launch(&self) -> Launch;

    /// The op as several ops whose invocations loop at most `longest` times, as far as possible;
    /// `None` if it cannot be split.
    fn split(&self, longest: u64) -> Option<Split> {
        let _ = longest;
        None
    }

    /// The maximum number of rows of a step's batch; 1 if the op does not depend on them.
    fn rows(&self) -> usize {
        1
    }

    /// All kernels that implement this op, including the current one; empty if there is no choice.
    /// All have the same bound.
    fn variants(&self) -> Vec<Variant> {
        Vec::new()
    }

    /// What is computed and at which sizes, whichever of [`Op::variants`] computes it: under this
    /// text files keep which one was chosen, so that it never changes. `None` if there is only one
    /// kernel.
    fn choice(&self) -> Option<String> {
        None
    }

    /// Bound on the third derivative of any output along a direction of ±1 in one input, which
    /// bounds the error of a central difference; 0 for polynomials of degree two.
    fn third_derivative(&self) -> f64 {
        0.0
    }

    /// Floating-point operations and bytes moved.
    fn cost(&self) -> Cost;

    /// Computes the reference: f32 in, f64 inside, one rounding to f32.
    fn reference(&self, args: &mut Args<'_>);

    /// Element `index` of one output, by the definition in plain loops, and its error bound.
    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element;

    /// Elements of an output at the edges of the kernel's tiles.
    fn tile_edges(&self, output: usize) -> Vec<usize> {
        let _ = output;
        Vec::new()
    }

    /// The error bounds of a kernel against [`Op::reference`], one per output. `args` holds the
    /// inputs, and the outputs as they were before the op.
    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound>;
}

/// A kernel at its sizes, as text: its entry point, workgroup, constants and the lengths of its
/// bindings. What was measured and checked of it is kept under this text.
pub(crate) fn identity(op: &dyn Op) -> String {
    let launch = op.launch();
    let mut text = format!("{}/{}", op.name(), launch.workgroup_size);
    for (name, value) in launch.constants {
        text += &format!(" {name}={value}");
    }
    for Binding { name, words, .. } in op.bindings().iter() {
        text += &format!(" {name}:{words}");
    }
    text
}

/// Makes `Box<dyn Op>` cloneable: every op is `Clone`.
pub trait OpClone {
    /// A boxed clone.
    fn boxed(&self) -> Box<dyn Op>;
}

impl<T: Op + Clone> OpClone for T {
    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Op> {
    fn clone(&self) -> Self {
        self.as_ref().boxed()
    }
}

/// One of several kernels that implement an op.
#[derive(Debug)]
pub struct Variant {
    /// Its name in kernel choices.
    pub name: String,
    /// The op with that kernel.
    pub op: Box<dyn Op>,
}

/// A key that orders floats as integers: numbers by value, both zeros equal, NaN above all.
///
/// The kernels compare by the same key, because WGSL lets an adapter flush subnormals and assume
/// that there is no NaN in a float comparison.
pub(crate) fn ordered_key(value: f32) -> u32 {
    let bits = value.to_bits();
    let magnitude = bits & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        u32::MAX
    } else if bits == magnitude || magnitude == 0 {
        magnitude | 0x8000_0000
    } else {
        !bits
    }
}

/// `true` and `false` as WGSL's `override` values.
fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordered_key_orders_numbers_zeros_and_nan() {
        let tiny = f32::from_bits(1);
        let rising = [
            f32::NEG_INFINITY,
            -1.0,
            -tiny,
            0.0,
            tiny,
            1.0,
            f32::INFINITY,
            f32::NAN,
        ];
        assert!(
            rising
                .windows(2)
                .all(|w| ordered_key(w[0]) < ordered_key(w[1]))
        );
        assert_eq!(ordered_key(-0.0), ordered_key(0.0));
        assert_eq!(ordered_key(-f32::NAN), ordered_key(f32::NAN));
    }
}
