//! Every op that has a gradient, against central differences, both on the adapter.
//!
//! For an op `f`, weights `w` on its output and a direction `v` of its input, the gradient `g` of
//! `Σ wⱼ fⱼ` must satisfy `Σ gᵢ vᵢ = Σ wⱼ (fⱼ(x + hv) − fⱼ(x − hv)) / 2h`. All numbers are chosen
//! so that the right side is nearly exact: `x` lies on a grid of odd multiples of [`SPACING`], each
//! entry of `v` is ±1 and `h` is half of it, so that `x ± hv` is exact in f32 and crosses no kink
//! of ReLU and no tie of max-pool. Between kinks most ops are polynomials of degree at most two in
//! the moving input, for which central differences are exact; others bound their third derivative
//! along `v`. The remaining error is the rounding of `f` and `g`, which the ops' own bounds cover.

use super::compare::{expect, on_gpu};
use super::fuzz::cases;
use super::lanes;
use crate::device::Device;
use crate::error::Result;
use crate::executor::Executor;
use crate::ops::case::{Case, Floats, Gradient, Random, Read, SPACING};
use crate::ops::{Binding, EPSILON, Op, Step};
use crate::plan::{Builder, Element, Phase, Role, TensorId};

/// The step of the difference, to either side.
const H: f32 = SPACING / 2.0;

/// Directions per gradient.
const DIRECTIONS: usize = 3;

/// The comparison of an op's gradient, along one direction, with the central difference.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientReport {
    /// The op that computes the gradient.
    pub op: &'static str,
    /// The differentiated op, with its sizes.
    pub of: String,
    /// The name of the input with respect to which it is differentiated.
    pub by: &'static str,
    /// The gradient along the direction, as the op computes it.
    pub gradient: f64,
    /// The central difference along the direction.
    pub difference: f64,
    /// The allowed difference of the two.
    pub allowed: f64,
}

impl GradientReport {
    /// The error as a fraction of the bound; ≤ 1 passes.
    pub fn error_ratio(&self) -> f64 {
        let error = (self.gradient - self.difference).abs();
        let ratio = error / self.allowed;
        match error {
            0.0 => 0.0,
            _ if ratio.is_nan() => f64::INFINITY,
            _ => ratio,
        }
    }

    /// Whether the two agree.
    pub fn passes(&self) -> bool {
        self.error_ratio() <= 1.0
    }
}

/// Differentiates `rounds` random cases of every op that has a gradient.
///
/// # Errors
/// The device is not an adapter, was lost or reported a fault. A wrong gradient is not an error but
/// a report.
pub async fn differentiate(device: &Device, seed: u64, rounds: u32) -> Result<Vec<GradientReport>> {
    compare(device, seed, cases(seed, rounds, Floats::Spaced)).await
}

/// Differentiates those of `cases` that have gradients.
pub(super) async fn compare(
    device: &Device,
    seed: u64,
    cases: Vec<(String, Case)>,
) -> Result<Vec<GradientReport>> {
    // Each case has its own seed of directions, so that they do not depend on the device.
    let seeds = (0..).map(|number| seed.wrapping_add(number));
    let cases = seeds.zip(cases);
    let cases = cases.filter(|(_, (_, case))| !case.gradients.is_empty());
    let parts = lanes::parts(device, cases.collect());
    let reports = lanes::each(device, parts, |part| run(device, part)).await?;
    Ok(reports.into_iter().flatten().collect())
}

/// Differentiates cases, each with a seed of its directions, in one plan.
async fn run(device: &Device, cases: Vec<(u64, (String, Case))>) -> Result<Vec<GradientReport>> {
    let mut plan = Builder::new(false);
    let mut checks = Vec::new();
    for (seed, (name, case)) in cases {
        plan.set_scope(&name);
        checks.push((seed, Check::lower(&mut plan, case)?));
    }
    let mut executor = device
        .clone()
        .without_spot_checks()
        .load(plan.finish())
        .await?;
    let mut reports = Vec::new();
    for (seed, check) in &checks {
        let mut random = Random::new(*seed, Floats::Spaced);
        check.run(&mut executor, &mut random, &mut reports).await?;
    }
    Ok(reports)
}

/// One op in a plan, and the ops that compute its gradients.
struct Check {
    node: usize,
    inputs: Vec<TensorId>,
    outputs: Vec<TensorId>,
    words: Vec<Vec<u32>>,
    step: Step,
    d_output: TensorId,
    gradients: Vec<LoweredGradient>,
}

/// The location of a gradient.
enum LoweredGradient {
    By {
        input: usize,
        node: usize,
        reads: Vec<TensorId>,
        output: usize,
        d_input: TensorId,
    },
    Own {
        input: usize,
        output: usize,
        upstream: f32,
    },
}

impl Check {
    fn lower(plan: &mut Builder, case: Case) -> Result<Self> {
        let Case {
            op,
            inputs: words,
            step,
            gradients,
            ..
        } = case;
        let scope = plan.scope().to_owned();
        let (inputs, outputs) = plan.tensors_of(op.as_ref())?;
        let len = op.bindings().outputs[0].words;
        let d_output = plan.tensor("upstream", [len], Element::F32, Role::Input)?;
        let node = plan.boxed_op(Phase::Forward, op, &inputs, &outputs)?;
        let mut lowered = Vec::new();
        for (number, gradient) in gradients.into_iter().enumerate() {
            lowered.push(match gradient {
                Gradient::Own {
                    input,
                    output,
                    upstream,
                } => LoweredGradient::Own {
                    input,
                    output,
                    upstream,
                },
                Gradient::By {
                    input,
                    op,
                    output,
                    reads,
                } => {
                    plan.set_scope(&format!("{scope}.gradient{number}"));
                    let written = op.bindings().outputs.into_iter();
                    let written = written
                        .map(|Binding { name, words, .. }| {
                            plan.tensor(name, [words], Element::F32, Role::Input)
                        })
                        .collect::<Result<Vec<_>>>()?;
                    let from = |read: &Read| match *read {
                        Read::Input(i) => inputs[i],
                        Read::Output(i) => outputs[i],
                        Read::OutputGradient => d_output,
                    };
                    let reads: Vec<TensorId> = reads.iter().map(from).collect();
                    let node = plan.boxed_op(Phase::Backward, op, &reads, &written)?;
                    LoweredGradient::By {
                        input,
                        node,
                        reads,
                        output,
                        d_input: written[output],
                    }
                }
            });
        }
        Ok(Check {
            node,
            inputs,
            outputs,
            words,
            step,
            d_output,
            gradients: lowered,
        })
    }

    async fn run(
        &self,
        executor: &mut Executor,
        random: &mut Random,
        reports: &mut Vec<GradientReport>,
    ) -> Result<()> {
        let plan = executor.plan().clone();
        let op = plan.nodes()[self.node].op.as_ref();
        for (&input, words) in self.inputs.iter().zip(&self.words) {
            executor.write_words(input, words)?;
        }
        for gradient in &self.gradients {
            for _ in 0..DIRECTIONS {
                let len = op.bindings().outputs[0].words;
                let weights: Vec<f32> = match *gradient {
                    LoweredGradient::Own { upstream, .. } => vec![upstream; len],
                    LoweredGradient::By { .. } => {
                        (0..len).map(|_| random.below(3) as f32 - 1.0).collect()
                    }
                };
                executor.write(self.d_output, &weights)?;
                on_gpu(executor)?.run_node(self.node, &self.step)?;
                let (name, input, values, errors) = self.gradient(executor, gradient).await?;

                let direction: Vec<f32> = values
                    .iter()
                    .map(|_| if random.flag() { 1.0 } else { -1.0 })
                    .collect();
                let (difference, error) = self
                    .difference(executor, op, input, &direction, &weights)
                    .await?;
                let rounded: f64 = values.iter().map(|&g| EPSILON * f64::from(g.abs())).sum();
                let along = values.iter().zip(&direction);
                let gradient = along.map(|(&g, &v)| f64::from(g) * f64::from(v)).sum();
                reports.push(GradientReport {
                    op: name,
                    of: format!("{op:?}"),
                    by: op.bindings().inputs[input].name,
                    gradient,
                    difference,
                    allowed: error + errors.iter().sum::<f64>() + rounded,
                });
            }
        }
        Ok(())
    }

    /// The op that computes the gradient, the input, the values, and their error bounds.
    async fn gradient(
        &self,
        executor: &mut Executor,
        gradient: &LoweredGradient,
    ) -> Result<(&'static str, usize, Vec<f32>, Vec<f64>)> {
        let plan = executor.plan().clone();
        match gradient {
            LoweredGradient::By {
                input,
                node,
                reads,
                output,
                d_input,
            } => {
                on_gpu(executor)?.run_node(*node, &self.step)?;
                let mut words = Vec::new();
                for &read in reads {
                    words.push(executor.read_words(read).await?);
                }
                let op = plan.nodes()[*node].op.as_ref();
                let (_, allowed) = expect(op, &words, *output, &self.step);
                Ok((op.name(), *input, executor.read(*d_input).await?, allowed))
            }
            LoweredGradient::Own { input, output, .. } => {
                let op = plan.nodes()[self.node].op.as_ref();
                let (_, allowed) = expect(op, &self.words, *output, &self.step);
                let values = executor.read(self.outputs[*output]).await?;
                Ok((op.name(), *input, values, allowed))
            }
        }
    }

    /// The central difference of `Σ wⱼ fⱼ` along `direction` of `input`, and its error.
    async fn difference(
        &self,
        executor: &mut Executor,
        op: &dyn Op,
        input: usize,
        direction: &[f32],
        weights: &[f32],
    ) -> Result<(f64, f64)> {
        let (mut sum, mut error) = (0f64, 0f64);
        for side in [1.0, -1.0] {
            let mut words = self.words.clone();
            for (word, v) in words[input].iter_mut().zip(direction) {
                *word = (f32::from_bits(*word) + side * H * v).to_bits();
            }
            executor.write_words(self.inputs[input], &words[input])?;
            on_gpu(executor)?.run_node(self.node, &self.step)?;
            let values = executor.read(self.outputs[0]).await?;
            let (_, allowed) = expect(op, &words, 0, &self.step);
            for ((&w, value), allowed) in weights.iter().zip(values).zip(allowed) {
                let (w, value) = (f64::from(w), f64::from(value));
                sum += w * f64::from(side) * value;
                // The bound is against the reference, which is rounded too.
                error += w.abs() * (allowed + EPSILON * value.abs());
            }
        }
        executor.write_words(self.inputs[input], &self.words[input])?;
        let h = f64::from(H);
        let weight: f64 = weights.iter().map(|w| f64::from(w.abs())).sum();
        let truncation = weight * op.third_derivative() * h * h / 6.0;
        Ok((sum / (2.0 * h), error / (2.0 * h) + truncation))
    }
}

#[cfg(test)]
mod tests {
    use super::GradientReport;

    #[test]
    fn agreement_is_right_even_where_nothing_is_allowed() {
        let report = |gradient, difference, allowed| GradientReport {
            op: "op",
            of: String::new(),
            by: "input",
            gradient,
            difference,
            allowed,
        };
        assert!(report(0.0, -0.0, 0.0).passes());
        assert!(!report(1.0, 0.0, 0.0).passes());
        assert!(!report(f64::NAN, 0.0, 1.0).passes());
        assert!(!report(1.0, 1.5, f64::NAN).passes());
        assert_eq!(report(1.0, 1.5, 0.25).error_ratio(), 2.0);
    }
}
