//! An op with parts changed by a test.

use std::fmt;

use wgrad::ops::{
    Args, Bindings, Cost, Element, Elements, ErrorBound, Launch, Loads, Op, Shader, Step,
};

/// `op`, but with another launch, or with a reference that calls a function first. It has one
/// kernel and is never split.
#[derive(Clone)]
pub struct Altered {
    op: Box<dyn Op>,
    launch: Launch,
    before_reference: fn(&Step),
}

impl Altered {
    pub fn new(op: Box<dyn Op>) -> Self {
        let launch = op.launch();
        Altered {
            op,
            launch,
            before_reference: |_| {},
        }
    }

    /// Changes the text of its kernel: the kernel's own file if that contains `part`, otherwise the
    /// whole compiled source.
    pub fn kernel(mut self, part: &str, change: impl Fn(&str) -> String) -> Self {
        let original = self.launch.shader;
        let (preludes, text) = match original.file().contains(part) {
            true => (original.preludes(), original.file().to_owned()),
            false => (&[][..], original.source(Loads::Narrow)),
        };
        assert!(text.contains(part), "{}: no `{part}`", self.op.name());
        self.launch.shader = Shader::new(preludes, Box::leak(change(&text).into_boxed_str()));
        self
    }

    /// Declares no loops.
    pub fn without_loops(mut self) -> Self {
        self.launch.longest_loop = 0;
        self
    }

    /// Makes the reference call `first` before it computes.
    pub fn before_reference(self, first: fn(&Step)) -> Self {
        Altered {
            before_reference: first,
            ..self
        }
    }
}

impl fmt::Debug for Altered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.op.fmt(f)
    }
}

impl Op for Altered {
    fn name(&self) -> &'static str {
        self.op.name()
    }
    fn bindings(&self) -> Bindings {
        self.op.bindings()
    }
    fn launch(&self) -> Launch {
        self.launch.clone()
    }
    fn rows(&self) -> usize {
        self.op.rows()
    }
    fn cost(&self) -> Cost {
        self.op.cost()
    }
    fn reference(&self, args: &mut Args<'_>) {
        (self.before_reference)(args.step);
        self.op.reference(args);
    }
    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        self.op.element(args, output, index)
    }
    fn tile_edges(&self, output: usize) -> Vec<usize> {
        self.op.tile_edges(output)
    }
    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        self.op.error_bounds(args)
    }
}
