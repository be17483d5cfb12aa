//! An op of which a test changes a part.

use std::fmt;

use wgrad::ops::{
    Args, Bindings, Cost, Element, Elements, ErrorBound, Launch, Loads, Op, Shader, Step,
};

/// An op that is launched in another way, or whose reference does something first; the rest is that
/// of `op`. It has one kernel and is never split.
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

    /// With the text of its kernel changed: in the kernel's own file if `part` is there, or else in
    /// all that is compiled.
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

    /// Without a word of its loops.
    pub fn without_loops(mut self) -> Self {
        self.launch.longest_loop = 0;
        self
    }

    /// With a reference that calls `first` before it computes.
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
