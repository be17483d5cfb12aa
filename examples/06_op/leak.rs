//! The op: sizes, kernel, reference, and the error bound of the kernel.

use wgrad::ops::case::{Case, Random, Read};
use wgrad::ops::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude, Shader, Sum,
};

/// `passed = values` where the gate is above zero or NaN, else `slope · values`.
#[derive(Debug, Clone)]
pub struct Leak {
    /// Number of elements.
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

    /// The reference result: f32 in, f64 inside, rounded once.
    fn reference(&self, args: &mut Args<'_>) {
        let both = args.input(0).iter().zip(args.input(1));
        for (passed, (&gate, &value)) in args.output().iter_mut().zip(both) {
            *passed = self.pass(gate.into(), value.into()) as f32;
        }
    }

    /// One element of it, for checks at sizes where computing all would take too long.
    fn element(&self, args: &Elements<'_>, _output: usize, index: usize) -> Element {
        let value = self.pass(args.float(0, index), args.float(1, index));
        Sum::from(value).within(&ErrorBound::Relative(0.0))
    }

    /// WGSL rounds a product correctly, as does the reference, but may flush subnormals to zero,
    /// which every bound allows.
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

/// A case of random size. The same op computes the gradient with respect to the values, from the
/// gate and the output gradient.
pub fn cases(random: &mut Random) -> Vec<Case> {
    let op = Leak {
        len: random.size(300),
        slope: 0.01,
    };
    let case = Case::of_floats(op.clone(), random);
    vec![case.with_gradient(1, op, &[Read::Input(0), Read::OutputGradient])]
}
