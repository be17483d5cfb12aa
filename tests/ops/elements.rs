//! Single elements, by each op's definition in plain loops, against the fast reference that
//! computes whole outputs.

use wgrad::ops::case::{Case, Floats};
use wgrad::ops::{Args, Element, Elements, ErrorBound, Words};
use wgrad::verify::cases;

/// The reference outputs of a case.
fn expected(case: &Case) -> Vec<Vec<u32>> {
    let mut outputs = case.outputs.clone();
    case.op.reference(&mut Args {
        inputs: case.inputs.iter().map(Vec::as_slice).collect(),
        outputs: outputs.iter_mut().map(Vec::as_mut_slice).collect(),
        step: &case.step,
    });
    outputs
}

/// The error bound of each output of the case.
fn bounds(case: &Case) -> Vec<ErrorBound> {
    let mut before = case.outputs.clone();
    case.op.error_bounds(&Args {
        inputs: case.inputs.iter().map(Vec::as_slice).collect(),
        outputs: before.iter_mut().map(Vec::as_mut_slice).collect(),
        step: &case.step,
    })
}

/// Whether the element equals the reference's, up to the order of sums in f64.
fn agree(element: &Element, word: u32) -> bool {
    match element {
        Element::Word(own) => *own == word,
        Element::AnyOf(words) => words.contains(&word),
        Element::Float { value, error } => {
            let (own, other) = (*value as f32, f32::from_bits(word));
            let off = (f64::from(own) - f64::from(other)).abs();
            own == other
                || (own.is_nan() && other.is_nan())
                || off <= 1e-6 * error
                || off <= 1.5e-7 * f64::from(other.abs())
        }
    }
}

#[test]
fn every_element_equals_the_references() {
    for floats in [Floats::Hostile, Floats::Spaced] {
        for (name, case) in cases(3, 8, floats) {
            let words: Vec<Box<dyn Fn(usize) -> u32 + Sync>> = (case.inputs.iter())
                .chain(&case.outputs)
                .map(|words| Box::new(|at: usize| words[at]) as _)
                .collect();
            let words: Vec<Words<'_>> = words.iter().map(|words| words.as_ref() as _).collect();
            let (inputs, outputs) = words.split_at(case.inputs.len());
            let args = Elements {
                inputs: inputs.to_vec(),
                outputs: outputs.to_vec(),
                step: &case.step,
            };
            let bounds = bounds(&case);
            for (output, expected) in expected(&case).into_iter().enumerate() {
                for (at, word) in expected.into_iter().enumerate() {
                    let element = case.op.element(&args, output, at);
                    let right = match (&element, &bounds[output]) {
                        (Element::AnyOf(own), ErrorBound::OneOf(words)) => {
                            own.iter().all(|word| words[at].contains(word)) && own.contains(&word)
                        }
                        _ => agree(&element, word),
                    };
                    assert!(
                        right,
                        "{name}: {:?}\noutput {output}, element {at}: {element:?}, reference {} ({word:#x})",
                        case.op,
                        f32::from_bits(word)
                    );
                }
            }
        }
    }
}

/// A sample past a tile's edges would be a bug in itself.
#[test]
fn tile_edges_are_within_the_output() {
    for (name, case) in cases(5, 8, Floats::Hostile) {
        for (output, binding) in case.op.bindings().outputs.iter().enumerate() {
            let edges = case.op.tile_edges(output);
            assert!(
                edges.iter().all(|edge| *edge < binding.words),
                "{name}: {:?}",
                case.op
            );
        }
    }
}
