//! The loop limit of an adapter.
//!
//! Mesa's llvmpipe silently ends the loops of an invocation after 65,535 iterations, counted over
//! all loops. Whether an adapter does so is measured, not inferred from its name.

use super::Workbench;
use crate::error::{Error, Result};
use crate::ops::{
    Args, Binding, Bindings, Content, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude,
    Shader, Step,
};
use crate::plan::{Builder, Phase};

const SHADER: Shader = Shader::new(
    &[Prelude::Invocation],
    include_str!("../../shaders/loop_probe.wgsl"),
);

/// The iterations of the probe, and so the largest limit: products with more terms are summed in
/// parts, which are more accurate and do not trigger driver timeouts.
const MOST: u32 = 1 << 20;

/// A loop with the number of iterations in its input.
#[derive(Debug, Clone)]
struct LoopProbe;

/// The next state of the kernel's recurrence.
fn next(mut x: u32) -> u32 {
    x ^= x << 13;
    x ^= x >> 17;
    x ^ x << 5
}

impl Op for LoopProbe {
    fn name(&self) -> &'static str {
        "loop_probe"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("iterations", 1).of(Content::below(MOST as usize)),
            Binding::write("state", 1).of(Content::Any),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, 1).longest_loop(MOST.into())
    }

    fn cost(&self) -> Cost {
        Cost::default()
    }

    fn reference(&self, args: &mut Args<'_>) {
        args.outputs[0][0] = (0..args.inputs[0][0]).fold(1, |x, _| next(x));
    }

    fn element(&self, args: &Elements<'_>, _: usize, _: usize) -> Element {
        Element::Word((0..args.word(0, 0)).fold(1, |x, _| next(x)))
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Exact]
    }
}

/// The adapter's loop limit for one invocation: the iterations that it executed of 2²⁰.
///
/// # Errors
/// The device was lost or reported a fault, or the loop ended in an impossible state.
pub(crate) async fn longest_loop(bench: &mut Workbench) -> Result<u64> {
    let mut plan = Builder::new(false);
    let (inputs, outputs) = plan.tensors_of(&LoopProbe)?;
    plan.op(Phase::Forward, LoopProbe, &inputs, &outputs)?;
    let mut executor = bench.load(plan.finish()).await?;
    executor.write_bytes(inputs[0], 0, MOST.to_ne_bytes().to_vec())?;
    executor.run_node(0, &Step::new(0, 1, 0, 0.0))?;
    let found = executor.read(outputs[0]).await?[0];
    iterations_to(found).ok_or_else(|| {
        let message = format!("a loop of {MOST} iterations ended in a state that it never reaches");
        Error::gpu("measuring how long loops may be", message)
    })
}

/// The number of iterations after which the state is `found`.
fn iterations_to(found: u32) -> Option<u64> {
    let mut states = std::iter::successors(Some(1), |&x| Some(next(x))).zip(0..=u64::from(MOST));
    states
        .find(|&(state, _)| state == found)
        .map(|(_, count)| count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_tells_its_iteration() {
        for count in [0, 1, 65_535, u64::from(MOST)] {
            let state = (0..count).fold(1, |x, _| next(x));
            assert_eq!(iterations_to(state), Some(count));
        }
        assert_eq!(iterations_to(0), None);
    }
}
