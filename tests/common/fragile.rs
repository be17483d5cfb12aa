//! A layer that may be told to panic in the middle of an epoch, on the CPU reference.

use std::sync::atomic::{AtomicBool, Ordering};

use wgrad::Result;
use wgrad::graph::{Function, Module, Relu, Site, Var};
use wgrad::ops::{Args, Bindings, Cost, Element, Elements, ErrorBound, Op, ReluForward, Shader};
use wgrad::shape::Shape;

/// Whether it panics.
pub static BREAKS: AtomicBool = AtomicBool::new(false);

/// Where in the order of samples.
const BREAKS_AT: u32 = 1600;

/// ReLU.
#[derive(Debug, Clone)]
struct FragileRelu(ReluForward);

impl Op for FragileRelu {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn shader(&self) -> Shader {
        self.0.shader()
    }
    fn bindings(&self) -> Bindings {
        self.0.bindings()
    }
    fn constants(&self) -> Vec<(&'static str, f64)> {
        self.0.constants()
    }
    fn invocations(&self) -> u64 {
        self.0.invocations()
    }
    fn longest_loop(&self) -> u64 {
        self.0.longest_loop()
    }
    fn cost(&self) -> Cost {
        self.0.cost()
    }
    fn reference(&self, args: &mut Args<'_>) {
        let breaks = BREAKS.load(Ordering::Relaxed) && args.step.offset >= BREAKS_AT;
        assert!(!breaks, "it was told to");
        self.0.reference(args);
    }
    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        self.0.element(args, output, index)
    }
    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        self.0.error_bounds(args)
    }
}

/// The function of that op.
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
        site.forward(FragileRelu(ReluForward { len }), &[input], &[output])
    }

    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        Relu.backward(site)
    }
}
