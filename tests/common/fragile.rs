//! A layer that panics in the middle of an epoch on request, on the CPU reference.

use super::altered::Altered;
use std::sync::atomic::{AtomicBool, Ordering};

use wgrad::Result;
use wgrad::graph::{Function, Module, Relu, Site, Var};
use wgrad::ops::{ReluForward, Step};
use wgrad::shape::Shape;

/// Whether it panics.
pub static BREAKS: AtomicBool = AtomicBool::new(false);

/// The position in the sample order at which it panics.
const BREAKS_AT: u32 = 1600;

fn break_if_told(step: &Step) {
    let breaks = BREAKS.load(Ordering::Relaxed) && step.offset >= BREAKS_AT;
    assert!(!breaks, "it was told to");
}

/// ReLU that panics on request.
#[derive(Debug, Clone)]
pub struct Fragile;

impl Module for Fragile {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        input.layer(Fragile, &[], &[])
    }
}

impl Function for Fragile {
    fn name(&self) -> &'static str {
        "fragile"
    }

    fn output_shape(&self, _: &str, inputs: &[&Shape]) -> Result<Shape> {
        Ok(inputs[0].clone())
    }

    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let len = site.output_shape().elements();
        let (input, output) = (site.input(0)?, site.make_output()?);
        let relu = Altered::new(Box::new(ReluForward { len }));
        site.forward(relu.before_reference(break_if_told), &[input], &[output])
    }

    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        Relu.backward(site)
    }
}
