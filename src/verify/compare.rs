//! One op on the adapter against its reference, under its bound.

use crate::error::{Error, Result};
use crate::executor::Executor;
use crate::gpu;
use crate::ops::{Args, ErrorBound, Op, Step};
use crate::plan::{Phase, TensorId};

/// The comparison of one output of one op with the reference.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputReport {
    /// The op.
    pub op: &'static str,
    /// The tensor that it wrote.
    pub tensor: String,
    /// Its shape, or the op's sizes if checked in isolation.
    pub shape: String,
    /// The largest error in units in the last place of the expected value; infinite if an output
    /// that must be equal is not.
    pub ulp: f64,
    /// Largest error as a fraction of the bound; ≤ 1 passes.
    pub error_ratio: f64,
    /// Its element: flat index, the adapter's value, the reference's.
    pub at: (usize, f32, f32),
}

impl OutputReport {
    /// Whether every element is within the op's bound.
    pub fn passes(&self) -> bool {
        self.error_ratio <= 1.0
    }
}

/// Runs `phases` for one step, op by op, on the adapter, and compares each output.
///
/// # Errors
/// The device was lost or reported a fault. A wrong result is not an error but a report.
pub async fn lockstep(
    executor: &mut gpu::Executor,
    phases: &[Phase],
    step: &Step,
) -> Result<Vec<OutputReport>> {
    let plan = executor.plan().clone();
    let mut reports = Vec::new();
    for number in plan.nodes_of(phases) {
        reports.extend(check_node(executor, number, step).await?);
    }
    Ok(reports)
}

/// Runs one op on the adapter and compares its outputs.
pub(super) async fn check_node(
    executor: &mut gpu::Executor,
    number: usize,
    step: &Step,
) -> Result<Vec<OutputReport>> {
    let plan = executor.plan().clone();
    let node = &plan.nodes()[number];
    let inputs = read_all(executor, &node.inputs).await?;
    let mut before = read_all(executor, &node.outputs).await?;
    executor.run_node(number, step)?;
    let outputs = read_all(executor, &node.outputs).await?;

    let mut expected = before.clone();
    node.op.reference(&mut args(&inputs, &mut expected, step));
    let args = args(&inputs, &mut before, step);
    let mut reports = Vec::new();
    for (index, bound) in node.op.error_bounds(&args).into_iter().enumerate() {
        let (got, expected) = (&outputs[index], &expected[index]);
        let worst = match bound {
            ErrorBound::Exact => Worst::of_words(got, |at, word| word == expected[at]),
            ErrorBound::OneOf(ref choices) => {
                Worst::of_words(got, |at, word| choices[at].contains(&word))
            }
            _ => {
                let expected = bytemuck::cast_slice(expected);
                let allowed = bound.allowed(node.op.as_ref(), &args, index, expected);
                Worst::of_floats(bytemuck::cast_slice(got), expected, &allowed)
            }
        };
        let tensor = plan.tensor(node.outputs[index]);
        reports.push(OutputReport {
            op: node.op.name(),
            tensor: tensor.name.clone(),
            shape: tensor.shape.to_string(),
            ulp: worst.ulp,
            error_ratio: worst.error_ratio,
            at: (
                worst.at,
                f32::from_bits(got[worst.at]),
                f32::from_bits(expected[worst.at]),
            ),
        });
    }
    Ok(reports)
}

/// The reference's result of an op, and the allowed error of each element of output `index`.
pub(super) fn expect(
    op: &dyn Op,
    inputs: &[Vec<u32>],
    index: usize,
    step: &Step,
) -> (Vec<f32>, Vec<f64>) {
    let outputs = op.bindings().outputs.into_iter();
    let mut before: Vec<Vec<u32>> = outputs.map(|output| vec![0; output.words]).collect();
    let mut outputs = before.clone();
    op.reference(&mut args(inputs, &mut outputs, step));
    let expected: Vec<f32> = bytemuck::cast_slice(&outputs[index]).to_vec();
    let args = args(inputs, &mut before, step);
    let allowed = op.error_bounds(&args)[index].allowed(op, &args, index, &expected);
    (expected, allowed)
}

/// The adapter's executor, or an error if there is none to verify.
pub(super) fn on_gpu(executor: &mut Executor) -> Result<&mut gpu::Executor> {
    match executor {
        Executor::Gpu(gpu) => Ok(gpu),
        Executor::Cpu(_) => Err(Error::value(
            "verification",
            "an adapter",
            "the CPU reference",
        )),
    }
}

async fn read_all(executor: &gpu::Executor, tensors: &[TensorId]) -> Result<Vec<Vec<u32>>> {
    let mut words = Vec::new();
    for &tensor in tensors {
        words.push(executor.read(tensor).await?);
    }
    Ok(words)
}

fn args<'a>(inputs: &'a [Vec<u32>], outputs: &'a mut [Vec<u32>], step: &'a Step) -> Args<'a> {
    Args {
        inputs: inputs.iter().map(Vec::as_slice).collect(),
        outputs: outputs.iter_mut().map(Vec::as_mut_slice).collect(),
        step,
    }
}

/// The largest errors of an output.
#[derive(Debug, Default)]
struct Worst {
    ulp: f64,
    error_ratio: f64,
    at: usize,
}

impl Worst {
    /// Infinite if any word is wrong.
    fn of_words(got: &[u32], passes: impl Fn(usize, u32) -> bool) -> Self {
        let wrong = (0..got.len()).find(|&at| !passes(at, got[at]));
        wrong.map_or_else(Worst::default, |at| Worst {
            ulp: f64::INFINITY,
            error_ratio: f64::INFINITY,
            at,
        })
    }

    fn of_floats(got: &[f32], expected: &[f32], allowed: &[f64]) -> Self {
        let mut worst = Worst::default();
        for (at, ((&got, &expected), &allowed)) in got.iter().zip(expected).zip(allowed).enumerate()
        {
            let same = got.to_bits() == expected.to_bits() || (got.is_nan() && expected.is_nan());
            if same {
                continue;
            }
            // A NaN error counts as infinite.
            let finite = |x: f64| if x.is_nan() { f64::INFINITY } else { x };
            let error = (f64::from(got) - f64::from(expected)).abs();
            worst.ulp = worst.ulp.max(finite(error / ulp(expected)));
            let error_ratio = finite(error / allowed);
            if error_ratio > worst.error_ratio {
                (worst.error_ratio, worst.at) = (error_ratio, at);
            }
        }
        worst
    }
}

/// The distance between two neighbours of f32 at `x`.
fn ulp(x: f32) -> f64 {
    let exponent = (x.to_bits() >> 23 & 0xff).max(1) as i32;
    2f64.powi(exponent - 127 - 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ulp_is_the_distance_to_the_next_float() {
        for x in [1.0f32, 1.5, 3e-3, 7e7, 1e-45, f32::MIN_POSITIVE, 0.0] {
            let next = f64::from(f32::from_bits(x.to_bits() + 1));
            assert_eq!(ulp(x), next - f64::from(x), "{x:e}");
        }
    }

    #[test]
    fn errors_that_are_no_numbers_are_infinite() {
        let worst = Worst::of_floats(&[f32::NAN, 1.0], &[1.0, 1.0], &[0.1, 0.1]);
        assert_eq!(worst.error_ratio, f64::INFINITY);
        let worst = Worst::of_floats(&[f32::NAN], &[f32::NAN], &[0.0]);
        assert_eq!(worst.error_ratio, 0.0);
        let worst = Worst::of_floats(&[1.0, 2.0], &[1.0, 2.5], &[0.0, 0.25]);
        assert_eq!((worst.error_ratio, worst.at), (2.0, 1));
    }
}
