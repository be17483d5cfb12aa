//! Lion over an arena: one dispatch for all layers.

use rayon::prelude::*;

use super::bound::sum_error;
use super::case::{Case, Random};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::sizes::decay::{Decay, decay_of, optimizer_bindings, optimizer_case};
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude, Shader, Sum,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation, Prelude::Step],
    include_str!("../../shaders/lion.wgsl"),
);

/// Lion (Chen et al., 2023, arXiv:2302.06675), with the step's learning rate lr and d =
/// `weight_decay` in blocks that an input marks, else 0:
/// `p = p·(1 − lr·d) − lr·sign(beta1·momentum + (1 − beta1)·g)`, then
/// `momentum = beta2·momentum + (1 − beta2)·g`.
#[derive(Debug, Clone)]
pub struct Lion {
    /// Elements of the arena.
    pub len: usize,
    /// The share of the old momentum in the direction, in [0, 1).
    pub beta1: f32,
    /// The share of the old momentum in the new, in [0, 1).
    pub beta2: f32,
    /// The weight decay, which is not part of the gradient.
    pub weight_decay: f32,
}

/// The roundings of 1 − beta, a product, the sum and the reference, less two that a sum's bound adds.
const BOUND: ErrorBound = ErrorBound::Products { terms: 4 };

impl Lion {
    /// The old momentum and the gradient, by the shares of `beta`.
    fn mixed(beta: f32, momentum: f64, gradient: f64) -> Sum {
        let mut sum = Sum::default();
        sum.add_product(beta.into(), momentum);
        sum.add_product(1.0 - f64::from(beta), gradient);
        sum
    }
}

/// 1, 0 or −1.
fn sign(value: f64) -> f64 {
    match value == 0.0 {
        true => 0.0,
        false => value.signum(),
    }
}

impl Op for Lion {
    fn name(&self) -> &'static str {
        "lion"
    }

    fn bindings(&self) -> Bindings {
        let updated = ["parameters", "momentum"].map(|name| Binding::update(name, self.len));
        optimizer_bindings(self.len, true, updated)
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.len).constants([
            ("LEN", self.len as f64),
            ("BETA1", f64::from(self.beta1)),
            ("BETA2", f64::from(self.beta2)),
            ("WEIGHT_DECAY", f64::from(self.weight_decay)),
        ])
    }

    fn cost(&self) -> Cost {
        Cost::new(12 * self.len, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let rate = f64::from(args.step.learning_rate);
        let decay = Decay::new(args, self.weight_decay, true);
        let gradients = args.input(0);
        let (parameters, momentum) = args.two_outputs();
        let state = parameters.par_iter_mut().zip(momentum).zip(gradients);
        let state = state.enumerate().with_min_len(min_task_len(ELEMENT));
        state.for_each(|(at, ((parameter, momentum), &gradient))| {
            let (before, gradient) = (f64::from(*momentum), f64::from(gradient));
            let direction = sign(Lion::mixed(self.beta1, before, gradient).value);
            let kept = f64::from(*parameter) * (1.0 - rate * decay.of(at));
            *parameter = (kept - rate * direction) as f32;
            *momentum = Lion::mixed(self.beta2, before, gradient).value as f32;
        });
    }

    /// The direction is a step of its argument: near zero a kernel may take either side.
    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        let (gradient, momentum) = (args.float(0, index), args.before(1, index));
        if output == 1 {
            return Lion::mixed(self.beta2, momentum, gradient).within(&BOUND);
        }
        let rate = f64::from(args.step.learning_rate);
        let decay = rate * decay_of(args, self.weight_decay, true, index);
        let mixed = Lion::mixed(self.beta1, momentum, gradient);
        let either = match mixed.within(&BOUND) {
            Element::Float { value, error } if value.abs() <= error => 2.0 * rate.abs(),
            _ => 0.0,
        };
        let before = args.before(0, index);
        let magnitude = before.abs() * (1.0 + decay.abs()) + rate.abs();
        Element::Float {
            value: before * (1.0 - decay) - rate * sign(mixed.value),
            error: sum_error(3, magnitude) + either,
        }
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        ErrorBound::of_elements(self, args)
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let op = Lion {
        len: random.size(300),
        beta1: [0.9, 0.5, 0.0][random.below(3)],
        beta2: [0.99, 0.25][random.below(2)],
        weight_decay: [0.0, 0.01][random.below(2)],
    };
    vec![optimizer_case(op, random)]
}
