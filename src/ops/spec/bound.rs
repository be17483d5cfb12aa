//! Error bounds: the allowed error of an f32 kernel against the f64 reference.

use rayon::prelude::*;

use crate::ops::{Args, Binding, Element, Elements, Op, Words};

/// ε: the relative error of one correctly rounded f32 operation.
pub const EPSILON: f64 = (f32::EPSILON / 2.0) as f64;

/// WGSL lets an adapter flush smaller magnitudes to zero, before or after any operation. Every
/// inexact bound allows for it.
pub const SMALLEST_NORMAL: f64 = f32::MIN_POSITIVE as f64;

/// A bound on the error of each element of one output.
#[derive(Debug, Clone, PartialEq)]
pub enum ErrorBound {
    /// Equal bits: data movement, comparisons and single correctly rounded operations.
    Exact,
    /// `n·ε·|expected|`: a few roundings of one value, or a sum of values of one sign.
    Relative(f64),
    /// `γₙ·Σ|a|` with `γₙ = nε / (1 − nε)`: a sum in any order (Higham, *Accuracy and Stability of
    /// Numerical Algorithms*, §4.2), where n is `terms` plus two for the reference's own roundings.
    /// Σ|a| is the op's reference applied to absolute values.
    Sum {
        /// Number of values added.
        terms: usize,
    },
    /// `γₙ·Σ|a·b|`: the same for products, fused or not (Higham, §3.1), plus the loss if the
    /// adapter flushes subnormal factors: the difference that the reference shows without them.
    Products {
        /// Number of products added.
        terms: usize,
    },
    /// The same absolute error everywhere.
    Absolute(f64),
    /// An absolute error per element.
    Each(Vec<f64>),
    /// The accepted words per element: an index whose choice depends on inexact values.
    OneOf(Vec<Vec<u32>>),
}

impl ErrorBound {
    /// The largest error allowed for each element of output `index` of `op`. `args` holds the
    /// inputs, and the outputs as they were before the op; `expected` is the reference's result.
    pub fn allowed(
        &self,
        op: &dyn Op,
        args: &Args<'_>,
        index: usize,
        expected: &[f32],
    ) -> Vec<f64> {
        match *self {
            ErrorBound::Exact | ErrorBound::OneOf(_) => vec![0.0; expected.len()],
            ErrorBound::Relative(n) => expected
                .iter()
                .map(|&e| n * EPSILON * f64::from(e).abs() + (n + 2.0) * SMALLEST_NORMAL)
                .collect(),
            ErrorBound::Sum { terms } => magnitudes(op, args, index, false)
                .iter()
                .map(|&sum| sum_error(terms, f64::from(sum)))
                .collect(),
            ErrorBound::Products { terms } => {
                let flushed = magnitudes(op, args, index, true);
                magnitudes(op, args, index, false)
                    .iter()
                    .zip(flushed)
                    .map(|(&sum, flushed)| {
                        sum_error(terms, f64::from(sum)) + f64::from(sum) - f64::from(flushed)
                    })
                    .collect()
            }
            ErrorBound::Each(ref errors) => errors.clone(),
            ErrorBound::Absolute(error) => vec![error + SMALLEST_NORMAL; expected.len()],
        }
    }

    /// The bounds of each output's elements, one by one: for ops whose terms cancel, so that the
    /// reference of absolute values does not bound their magnitude.
    pub fn of_elements(op: &dyn Op, args: &Args<'_>) -> Vec<ErrorBound> {
        let outputs = args.outputs.iter().map(|words| &**words);
        let all = args.inputs.iter().copied().chain(outputs);
        let words: Vec<_> = all.map(|words| move |at: usize| words[at]).collect();
        let words: Vec<Words<'_>> = words.iter().map(|word| word as Words<'_>).collect();
        let (inputs, outputs) = words.split_at(args.inputs.len());
        let args = Elements {
            inputs: inputs.to_vec(),
            outputs: outputs.to_vec(),
            step: args.step,
        };
        let bindings = op.bindings().outputs.into_iter().enumerate();
        let bounds = bindings.map(|(output, Binding { words, .. })| {
            let elements = (0..words).into_par_iter();
            let elements = elements.map(|at| op.element(&args, output, at));
            let errors = elements.map(|element| match element {
                Element::Float { error, .. } => Some(error + SMALLEST_NORMAL),
                Element::Word(_) | Element::AnyOf(_) => None,
            });
            let errors: Vec<Option<f64>> = errors.collect();
            match errors.iter().any(Option::is_some) {
                true => {
                    ErrorBound::Each(errors.into_iter().map(Option::unwrap_or_default).collect())
                }
                false => ErrorBound::Exact,
            }
        });
        bounds.collect()
    }
}

pub(in crate::ops) fn sum_error(terms: usize, magnitude: f64) -> f64 {
    let n = (terms + 2) as f64;
    let gamma = n * EPSILON / (1.0 - n * EPSILON);
    gamma * magnitude + n * SMALLEST_NORMAL
}

/// Σ|a·b| of each element: the op's reference of the absolute values of its inputs, with `flush` of
/// zero for every subnormal; integers stay as they are. Clearing a float's sign bit gives its
/// absolute value; the learning rate is negated, so that products with it, which are subtracted,
/// add up too.
fn magnitudes(op: &dyn Op, args: &Args<'_>, index: usize, flush: bool) -> Vec<f32> {
    let absolute = |word: &u32| match word & 0x7fff_ffff {
        subnormal if flush && subnormal < 0x0080_0000 => 0,
        magnitude => magnitude,
    };
    let all = |words: &[u32]| -> Vec<u32> { words.iter().map(absolute).collect() };
    let bindings = op.bindings().inputs;
    let inputs: Vec<Vec<u32>> = (bindings.iter().zip(&args.inputs))
        .map(|(binding, words)| match binding.content.is_floats() {
            true => all(words),
            false => words.to_vec(),
        })
        .collect();
    let mut outputs: Vec<Vec<u32>> = args.outputs.iter().map(|words| all(words)).collect();
    let mut step = *args.step;
    step.learning_rate = -step.learning_rate.abs();
    op.reference(&mut Args {
        inputs: inputs.iter().map(Vec::as_slice).collect(),
        outputs: outputs.iter_mut().map(Vec::as_mut_slice).collect(),
        step: &step,
    });
    bytemuck::cast_slice(&outputs[index]).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Step;
    use crate::ops::{Bindings, Content, Cost, Element, Elements, Launch, Shader, Sum};

    /// `output = values[index]`.
    #[derive(Debug, Clone)]
    struct Pick;

    impl Op for Pick {
        fn name(&self) -> &'static str {
            "pick"
        }
        fn bindings(&self) -> Bindings {
            Bindings::new([
                Binding::read("index", 1).of(Content::below(2)),
                Binding::read("values", 2),
                Binding::write("output", 1),
            ])
        }
        fn element(&self, args: &Elements<'_>, _: usize, _: usize) -> Element {
            Sum::from(args.float(1, args.word(0, 0) as usize)).within(&ErrorBound::Exact)
        }
        fn launch(&self) -> Launch {
            Launch::new(Shader::new(&[], ""), 1)
        }

        fn cost(&self) -> Cost {
            Cost::default()
        }
        fn reference(&self, args: &mut Args<'_>) {
            args.output()[0] = args.input(1)[args.inputs[0][0] as usize];
        }
        fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
            vec![ErrorBound::Products { terms: 1 }]
        }
    }

    /// An index is a small integer, which as a float would be subnormal: it is not flushed.
    #[test]
    fn magnitudes_are_of_floats_only() {
        let values = [8.0, 4.0].map(f32::to_bits);
        let (mut output, step) = ([0], Step::new(0, 1, 0, 0.0));
        let args = Args {
            inputs: vec![&[1], &values],
            outputs: vec![&mut output],
            step: &step,
        };
        let allowed = Pick.error_bounds(&args)[0].allowed(&Pick, &args, 0, &[4.0]);
        assert!(
            (allowed[0] - sum_error(1, 4.0)).abs() < 1e-15,
            "{allowed:?}"
        );
    }
}
