//! A layer that may be told to panic in the middle of an epoch, on the CPU reference.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use wgrad::Result;
use wgrad::nn::{Around, Layer, ReLU};
use wgrad::ops::{Args, Bindings, Cost, Element, Elements, ErrorBound, Op, ReluForward, Shader};
use wgrad::plan::{Builder, Phase, TensorId};

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

#[derive(Debug)]
pub struct Fragile;

impl fmt::Display for Fragile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fragile ReLU")
    }
}

impl Layer for Fragile {
    fn stem(&self) -> &'static str {
        "fragile"
    }

    fn forward(&self, plan: &mut Builder, input: TensorId) -> Result<TensorId> {
        let shape = plan.get(input).shape.clone();
        let op = FragileRelu(ReluForward {
            len: shape.elements(),
        });
        let output = plan.activation("output", shape)?;
        plan.op(Phase::Forward, op, &[input], &[output])?;
        Ok(output)
    }

    fn backward(&self, plan: &mut Builder, around: Around) -> Result<Option<TensorId>> {
        ReLU.backward(plan, around)
    }
}
