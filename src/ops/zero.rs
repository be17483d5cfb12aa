//! Clears an array.

use super::case::{Case, Random};
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude, Shader,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation],
    include_str!("../../shaders/zero.wgsl"),
);

/// `values = 0`: `zero_grad`, one dispatch over the arena of gradients.
#[derive(Debug, Clone)]
pub struct Zero {
    /// Elements.
    pub len: usize,
}

impl Op for Zero {
    fn name(&self) -> &'static str {
        "zero"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([Binding::write("values", self.len)])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.len).constants([("LEN", self.len as f64)])
    }

    fn cost(&self) -> Cost {
        Cost::new(0, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        args.output().fill(0.0);
    }

    fn element(&self, _: &Elements<'_>, _: usize, _: usize) -> Element {
        Element::Word(0)
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Exact]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let len = random.size(300);
    vec![Case::of_floats(Zero { len }, random)]
}
