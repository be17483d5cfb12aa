//! The op: sizes, kernel, reference, and how far from that a right kernel may be.

use wgrad::ops::case::{Case, Random, Read};
use wgrad::ops::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude, Shader, Sum,
};

/// `passed = values` where the gate is above zero, else `slope · values`.
#[derive(Debug, Clone)]
pub struct Leak {
    /// Elements.
    pub len: usize,
    pub slope: f32,
}

impl Op for Leak {
    fn name(&self) -> &'static str {
        "leak" // the kernel's entry point
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("gate", self.len),
            Binding::read("values", self.len),
            Binding::write("passed", self.len),
        ])
    }

    fn launch(&self) -> Launch {
        let preludes = &[Prelude::Invocation, Prelude::Relu];
        Launch::new(Shader::new(preludes, include_str!("leak.wgsl")), self.len)
            .constants([("LEN", self.len as f64), ("SLOPE", self.slope.into())])
    }

    fn cost(&self) -> Cost {
        Cost::new(self.len, &self.bindings())
    }

    /// The right answer: f32 in, f64 inside, rounded once.
    fn reference(&self, args: &mut Args<'_>) {
        let both = args.input(0).iter().zip(args.input(1));
        for (passed, (&gate, &value)) in args.output().iter_mut().zip(both) {
            *passed = self.pass(gate.into(), value.into()) as f32;
        }
    }

    /// One element of it, for checks at sizes at which the whole would take too long.
    fn element(&self, args: &Elements<'_>, _output: usize, index: usize) -> Element {
        let value = self.pass(args.float(0, index), args.float(1, index));
        Sum::from(value).within(&ErrorBound::Relative(0.0))
    }

    /// WGSL rounds a product correctly, as the reference does; but it may flush subnormals to zero, which each bound
    /// allows.
    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Relative(0.0)]
    }
}

impl Leak {
    fn pass(&self, gate: f64, value: f64) -> f64 {
        let passes = gate > 0.0 || gate.is_nan();
        if passes {
            value
        } else {
            f64::from(self.slope) * value
        }
    }
}

/// A case of a random size. The gradient with respect to the values is computed by the same op, from the gate and the
/// gradient of the output.
pub fn cases(random: &mut Random) -> Vec<Case> {
    let op = Leak {
        len: random.size(300),
        slope: 0.01,
    };
    let case = Case::of_floats(op.clone(), random);
    vec![case.with_gradient(1, op, &[Read::Input(0), Read::OutputGradient])]
}
