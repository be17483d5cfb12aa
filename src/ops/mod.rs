//! The operations that plans are made of: one small struct each, in a file of its name, beside the
//! kernel of the same stem in `shaders/`.
//!
//! An op knows its own sizes and nothing of layers, plans or devices. It says which kernel to
//! launch with which constants, what the kernel costs, what the right answer is (the CPU
//! reference: f32 in, f64 inside, rounded once to f32), and how far from it a correct GPU may be.

mod adam;
mod add;
mod arithmetic;
mod avg_pool;
mod batch_norm;
mod batch_norm_backward;
mod batch_norm_backward_input;
mod batch_norm_sizes;
mod batch_norm_statistics;
mod bias;
mod bound;
pub mod case;
mod col2im;
mod conv;
mod conv_pool;
mod conv_pool_sizes;
mod conv_pool_weight;
mod conv_sizes;
mod conv_weight;
mod cross_entropy;
mod dropout;
mod element;
mod fused_loss;
mod gather;
mod gemm;
mod gemm_4x4;
mod gemm_8x8;
mod gemm_broadcast;
mod gemm_lanes;
mod gemm_subgroup;
mod gemm_workgroup;
mod im2col;
mod max_pool;
mod max_pool_backward;
mod metrics;
mod mse;
mod philox;
mod product;
mod product_kernel;
mod product_split;
mod reduce;
mod relu;
mod sgd;
mod shader;
mod split;
mod step;
mod windows;
mod zero;

use std::any::Any;
use std::fmt::Debug;

pub use adam::Adam;
pub use add::Add;
pub use avg_pool::{AvgPoolBackward, AvgPoolForward};
pub use batch_norm::{BatchNormForward, BatchNormInfer};
pub use batch_norm_backward::{BatchNormBackwardReduce, BatchNormBackwardSums};
pub use batch_norm_backward_input::BatchNormBackwardInput;
pub use batch_norm_statistics::{BatchNormMoments, BatchNormStatistics};
pub use bias::{BiasBackward, BiasForward};
pub use bound::ErrorBound;
use case::{Case, Random};
pub use col2im::Col2im;
pub use conv::{ConvBackwardInput, ConvForward};
pub use conv_pool::{ConvPoolForward, NO_PIXEL};
pub use conv_pool_weight::ConvPoolBackwardWeight;
pub use conv_sizes::ConvSizes;
pub use conv_weight::ConvBackwardWeight;
pub use cross_entropy::CrossEntropy;
pub use dropout::Dropout;
pub use element::{Content, Element, Elements, Sum, Words};
pub use fused_loss::{FusedLoss, RowLoss};
pub use gather::Gather;
pub use gemm::{Gemm, Operand};
pub use im2col::Im2col;
pub use max_pool::MaxPoolForward;
pub use max_pool_backward::{MaxPoolBackward, MaxPoolBackwardAll};
pub(crate) use metrics::first_largest;
pub use metrics::{METRIC_WORDS, Metrics};
pub use mse::Mse;
pub use product::{Epilogue, Product};
pub use product_kernel::Kernel;
pub use reduce::ReduceSum;
pub use relu::{ReluBackward, ReluForward};
pub use sgd::{Sgd, SgdMomentum};
pub use shader::{Loads, Prelude, Shader};
pub use split::{Slot, Split, SplitStep};
pub use step::{Step, StepMetrics};
pub use zero::Zero;

/// Lists the families of ops, each of them a file of this folder and one of `shaders/`.
macro_rules! families {
    ($($together:ident),+; $($apart:ident),+ $(,)?) => {
        /// Every file of ops: its name, and a source of cases of each of its ops.
        pub const FAMILIES: &[(&str, fn(&mut Random) -> Vec<Case>)] = &[
            $((stringify!($together), $together::cases),)+
            $((stringify!($apart), $apart::cases),)+
        ];

        /// How many of them, from the first on, draw their cases from one source. Each of the others has its
        /// own, so that a new family changes no other's cases.
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
    adam,
    add,
    avg_pool,
    dropout,
);

/// Invocations of one workgroup, unless an op says otherwise.
pub const WORKGROUP_SIZE: u64 = 64;

/// One operation over flat arrays of 32-bit words.
pub trait Op: Any + Debug + Send + Sync + OpClone {
    /// The op's name, which is also the kernel's entry point and the pipeline's label.
    fn name(&self) -> &'static str;

    /// The WGSL that holds the entry point.
    fn shader(&self) -> Shader;

    /// The bindings of group 0, inputs before outputs, with the words that each must hold.
    fn bindings(&self) -> Bindings;

    /// The values of the kernel's `override` constants, but for `WORKGROUP_SIZE`.
    fn constants(&self) -> Vec<(&'static str, f64)>;

    /// How many invocations the kernel needs; the executor rounds up to whole workgroups.
    fn invocations(&self) -> u64;

    /// Invocations of one workgroup.
    fn workgroup_size(&self) -> u64 {
        WORKGROUP_SIZE
    }

    /// How often the loops of the longest invocation go round: all of them counted together, nested ones as
    /// often as they run, and each time with the round that finds its end ([`nested_loops`]). Drivers end
    /// the loops of an invocation that go round too often, so it must not be less.
    fn longest_loop(&self) -> u64;

    /// The same in several ops, none of whose invocations loops more than `longest` times, as far as that
    /// can be done; none where it cannot.
    fn split(&self, longest: u64) -> Option<Split> {
        let _ = longest;
        None
    }

    /// What an input holds: floats, unless the op says otherwise.
    fn content(&self, input: usize) -> Content {
        let _ = input;
        Content::Floats
    }

    /// What an output holds before the op, where that matters: floats, unless the op says otherwise.
    fn content_before(&self, output: usize) -> Content {
        let _ = output;
        Content::Floats
    }

    /// The most rows of a step's batch that it takes; one where it does not look at them.
    fn rows(&self) -> usize {
        1
    }

    /// Whether only adapters that have subgroups run it.
    fn needs_subgroups(&self) -> bool {
        false
    }

    /// The same op by each kernel that can compute it, itself among them; none where there is only
    /// one. All are under the same bound.
    fn variants(&self) -> Vec<Variant> {
        Vec::new()
    }

    /// Floating-point operations and bytes moved.
    fn cost(&self) -> Cost;

    /// Computes the right answer: f32 in, f64 inside, one rounding to f32.
    fn reference(&self, args: &mut Args<'_>);

    /// Element `index` of one output, by the definition in plain loops, and how far from it a correct kernel
    /// may be.
    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element;

    /// Elements of an output where a kernel may mistake an edge of its tiles.
    fn tile_edges(&self, output: usize) -> Vec<usize> {
        let _ = output;
        Vec::new()
    }

    /// How far a correct f32 kernel may be from [`Op::reference`], one bound for each output.
    /// `args` holds the inputs, and the outputs as they were before the op.
    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound>;
}

/// What lets a `Box<dyn Op>` be cloned: every op is `Clone`.
pub trait OpClone {
    /// The same op, boxed.
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

/// One of several kernels that compute the same.
#[derive(Debug)]
pub struct Variant {
    /// What choices call it.
    pub name: String,
    /// The op by that kernel.
    pub op: Box<dyn Op>,
}

/// The names and lengths, in 32-bit words, of an op's inputs and outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bindings {
    /// Read only.
    pub inputs: Vec<(&'static str, usize)>,
    /// Written; an op that updates in place reads them too.
    pub outputs: Vec<(&'static str, usize)>,
}

/// What an op costs: the numbers that profiles and benchmarks divide by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Floating-point operations.
    pub flop: u64,
    /// Bytes read and written, each element counted once.
    pub bytes: u64,
}

impl Cost {
    /// `flop` operations over each word of `bindings` once.
    pub fn new(flop: usize, bindings: &Bindings) -> Self {
        let words = bindings.inputs.iter().chain(&bindings.outputs);
        Cost {
            flop: flop as u64,
            bytes: words.map(|(_, words)| 4 * *words as u64).sum(),
        }
    }
}

/// What [`Op::reference`] works on: the words of each binding.
#[derive(Debug)]
pub struct Args<'a> {
    /// Inputs, in binding order.
    pub inputs: Vec<&'a [u32]>,
    /// Outputs, in binding order; they hold what was there before.
    pub outputs: Vec<&'a mut [u32]>,
    /// The current step.
    pub step: &'a Step,
}

impl<'a> Args<'a> {
    /// Input `i` as floats.
    pub fn input(&self, i: usize) -> &'a [f32] {
        bytemuck::cast_slice(self.inputs[i])
    }

    /// The only output, as floats.
    pub fn output(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(self.outputs[0])
    }

    /// Both outputs of an op that has two, as floats.
    pub fn two_outputs(&mut self) -> (&mut [f32], &mut [f32]) {
        let (first, second) = self.outputs.split_at_mut(1);
        (
            bytemuck::cast_slice_mut(first[0]),
            bytemuck::cast_slice_mut(second[0]),
        )
    }

    /// All outputs of an op that has three, as floats.
    pub fn three_outputs(&mut self) -> [&mut [f32]; 3] {
        let (first, others) = self.outputs.split_at_mut(1);
        let (second, third) = others.split_at_mut(1);
        [&mut *first[0], &mut *second[0], &mut *third[0]].map(bytemuck::cast_slice_mut)
    }
}

/// A key that orders floats as integers: numbers by value, both zeros alike, NaN above all.
///
/// The kernels compare by the same key, because WGSL lets an adapter flush subnormals and assume
/// that there is no NaN in a float comparison.
fn ordered_key(value: f32) -> u32 {
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

/// The rounds of loops in each other, the outermost first, which go round so often: each time that one runs it
/// takes one more round to find its end.
pub fn nested_loops(rounds: &[usize]) -> u64 {
    let mut within = 0;
    for &rounds in rounds.iter().rev() {
        let rounds = rounds as u64;
        within = rounds
            .saturating_mul(1u64.saturating_add(within))
            .saturating_add(1);
    }
    within
}

/// `true` and `false` as WGSL's `override` values.
fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_of_a_loop_takes_a_round_to_find_its_end() {
        assert_eq!(nested_loops(&[]), 0);
        assert_eq!(nested_loops(&[5]), 6);
        assert_eq!(nested_loops(&[3, 5]), 4 + 3 * 6);
        assert_eq!(nested_loops(&[2, 3, 5]), 3 + 2 * (4 + 3 * 6));
    }

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
