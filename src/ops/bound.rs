//! How far a correct f32 kernel may be from the f64 reference.

use super::{Args, Op};

/// ε: the relative error of one correctly rounded f32 operation.
pub(super) const EPSILON: f64 = (f32::EPSILON / 2.0) as f64;

/// Added to every inexact bound: WGSL lets an adapter flush subnormals to zero.
const SMALLEST_NORMAL: f64 = f32::MIN_POSITIVE as f64;

/// A bound on the error of each element of one output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ErrorBound {
    /// The same bits: data movement, comparisons and single correctly rounded operations.
    Exact,
    /// `n·ε·|expected|`: a few roundings of one value, or a sum of values of one sign.
    Relative(f64),
    /// `γₙ·Σ|a·b|` with `γₙ = nε / (1 − nε)`: a sum of that many products, in any order, fused or
    /// not (Higham, *Accuracy and Stability of Numerical Algorithms*, §3.1), where n is `terms` and
    /// two more for the reference's own roundings. Σ|a·b| is what the op's reference computes from
    /// absolute values.
    Sum {
        /// How many values are added.
        terms: usize,
    },
    /// The same absolute error everywhere.
    Absolute(f64),
}

impl ErrorBound {
    /// The largest error allowed for each element of output `index` of `op`. `args` holds the
    /// inputs, and the outputs as they were before the op; `expected` is the reference's answer.
    pub fn allowed(
        &self,
        op: &dyn Op,
        args: &Args<'_>,
        index: usize,
        expected: &[f32],
    ) -> Vec<f64> {
        match *self {
            ErrorBound::Exact => vec![0.0; expected.len()],
            ErrorBound::Relative(n) => expected
                .iter()
                .map(|&e| n * EPSILON * f64::from(e).abs() + SMALLEST_NORMAL)
                .collect(),
            ErrorBound::Sum { terms } => {
                let n = (terms + 2) as f64;
                let gamma = n * EPSILON / (1.0 - n * EPSILON);
                magnitudes(op, args, index)
                    .iter()
                    .map(|&sum| gamma * f64::from(sum) + n * SMALLEST_NORMAL)
                    .collect()
            }
            ErrorBound::Absolute(error) => vec![error + SMALLEST_NORMAL; expected.len()],
        }
    }
}

/// Σ|a·b| of each element: the op's reference on the absolute values of what it reads. Clearing a
/// float's sign bit is its absolute value; so that products with the learning rate, which are
/// subtracted, add up too, that rate turns negative.
fn magnitudes(op: &dyn Op, args: &Args<'_>, index: usize) -> Vec<f32> {
    let absolute = |words: &[u32]| -> Vec<u32> { words.iter().map(|w| w & 0x7fff_ffff).collect() };
    let inputs: Vec<Vec<u32>> = args.inputs.iter().map(|words| absolute(words)).collect();
    let mut outputs: Vec<Vec<u32>> = args.outputs.iter().map(|words| absolute(words)).collect();
    let mut step = *args.step;
    step.learning_rate = -step.learning_rate.abs();
    op.reference(&mut Args {
        inputs: inputs.iter().map(Vec::as_slice).collect(),
        outputs: outputs.iter_mut().map(Vec::as_mut_slice).collect(),
        step: &step,
    });
    bytemuck::cast_slice(&outputs[index]).to_vec()
}
