//! Lockstep comparison of an adapter with the CPU reference: each op gets the adapter's own inputs,
//! and its outputs are held to the op's own error bound.

use std::fmt;

use crate::error::Result;
use crate::gpu;
use crate::ops::{Args, ErrorBound, Step};
use crate::plan::Phase;

/// How one output of one op compares with the reference.
#[derive(Debug, Clone)]
pub struct OutputReport {
    /// The op.
    pub op: &'static str,
    /// The tensor that it wrote, with its shape.
    pub tensor: String,
    /// The largest error, in units of what the op's bound allows there: right up to 1.
    pub worst: f64,
    /// Where that is: flat index, the adapter's value, the reference's.
    pub worst_at: (usize, f32, f32),
}

impl OutputReport {
    /// Whether every element is within the op's bound.
    pub fn is_right(&self) -> bool {
        self.worst <= 1.0
    }
}

impl fmt::Display for OutputReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, got, expected) = self.worst_at;
        write!(
            f,
            "{:<22} {:<40} {:>9.3} of its bound",
            self.op, self.tensor, self.worst
        )?;
        if !self.is_right() {
            write!(f, ", at {index}: expected {expected:e}, got {got:e}")?;
        }
        Ok(())
    }
}

/// Runs `phases` for one step, op by op, on the adapter, and compares each output.
///
/// # Errors
/// A device that is lost or reports a fault; a wrong result is no error but a report.
pub async fn lockstep(
    executor: &mut gpu::Executor,
    phases: &[Phase],
    step: &Step,
) -> Result<Vec<OutputReport>> {
    let plan = executor.plan().clone();
    let mut reports = Vec::new();
    for number in plan.nodes_of(phases) {
        let node = &plan.nodes()[number];
        let mut inputs = Vec::new();
        for &id in &node.inputs {
            inputs.push(executor.read(id).await?);
        }
        let mut before = Vec::new();
        for &id in &node.outputs {
            before.push(executor.read(id).await?);
        }
        executor.run_node(number, step)?;

        let mut expected = before.clone();
        node.op.reference(&mut args(&inputs, &mut expected, step));
        let args = args(&inputs, &mut before, step);
        let bounds = node.op.error_bounds(&args);
        for (index, (&id, bound)) in node.outputs.iter().zip(bounds).enumerate() {
            let got = executor.read(id).await?;
            let expected = &expected[index];
            let (worst, at) = match bound {
                ErrorBound::Exact => worst_bits(&got, expected),
                _ => {
                    let (got, expected) =
                        (bytemuck::cast_slice(&got), bytemuck::cast_slice(expected));
                    let allowed = bound.allowed(node.op.as_ref(), &args, index, expected);
                    worst_error(got, expected, &allowed)
                }
            };
            let tensor = plan.tensor(id);
            reports.push(OutputReport {
                op: node.op.name(),
                tensor: format!("{} {}", tensor.name, tensor.shape),
                worst,
                worst_at: (at, f32::from_bits(got[at]), f32::from_bits(expected[at])),
            });
        }
    }
    Ok(reports)
}

fn args<'a>(inputs: &'a [Vec<u32>], outputs: &'a mut [Vec<u32>], step: &'a Step) -> Args<'a> {
    Args {
        inputs: inputs.iter().map(Vec::as_slice).collect(),
        outputs: outputs.iter_mut().map(Vec::as_mut_slice).collect(),
        step,
    }
}

/// Infinity and where, if any word differs.
fn worst_bits(got: &[u32], expected: &[u32]) -> (f64, usize) {
    match got
        .iter()
        .zip(expected)
        .position(|(got, expected)| got != expected)
    {
        Some(at) => (f64::INFINITY, at),
        None => (0.0, 0),
    }
}

/// The largest error in units of what is allowed there, and where.
fn worst_error(got: &[f32], expected: &[f32], allowed: &[f64]) -> (f64, usize) {
    let mut worst = (0.0, 0);
    for (at, ((&got, &expected), &allowed)) in got.iter().zip(expected).zip(allowed).enumerate() {
        let error = (f64::from(got) - f64::from(expected)).abs() / allowed;
        let same = got.to_bits() == expected.to_bits() || (got.is_nan() && expected.is_nan());
        // Written so that an error which is not a number counts as a large one.
        let error = if same {
            0.0
        } else if error.is_nan() {
            f64::INFINITY
        } else {
            error
        };
        if error > worst.0 {
            worst = (error, at);
        }
    }
    worst
}
