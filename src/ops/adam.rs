//! Adam and AdamW over an arena: one dispatch for all layers.

use rayon::prelude::*;

use super::bound::{EPSILON, SMALLEST_NORMAL, sum_error};
use super::case::{Case, Random};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::sizes::decay::{Decay, decay_of, optimizer_bindings, optimizer_case};
use super::{
    Args, Binding, Bindings, Content, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude,
    Shader, Step, Sum, flag,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation, Prelude::Step, Prelude::Loads],
    include_str!("../../shaders/adam.wgsl"),
);

/// Adam (Kingma and Ba, 2015) as in PyTorch, or with `decoupled` AdamW (Loshchilov and Hutter,
/// 2019).
///
/// With d = `weight_decay` and lr the step's learning rate, g is the gradient + d·p, or with
/// `decoupled` the gradient alone, and p is multiplied by 1 − lr·d. Then
/// `first = beta1·first + (1 − beta1)·g`, `second = beta2·second + (1 − beta2)·g²` and
/// `p -= lr·scalars[0]·first / (√second·scalars[1] + eps)`, with the step's [`Adam::scalars`].
#[derive(Debug, Clone)]
pub struct Adam {
    /// Elements of the arena.
    pub len: usize,
    /// Decay of the mean of the gradients, in [0, 1).
    pub beta1: f32,
    /// Decay of the mean of their squares, in [0, 1).
    pub beta2: f32,
    /// Added to the denominator; above zero.
    pub eps: f32,
    /// PyTorch's `weight_decay`.
    pub weight_decay: f32,
    /// Whether the decay is decoupled from the gradient: AdamW.
    pub decoupled: bool,
    /// Whether only the blocks decay that an input marks.
    pub selective: bool,
}

/// The relative error of a square root, which WGSL allows to be 1 / `inverseSqrt`: 2 ulp and a
/// division of 2.5, with an ulp at most 2ε, and one ε for second-order terms.
const ROOT: f64 = 10.0 * EPSILON;

/// The relative error of a quotient: 2.5 ulp.
const QUOTIENT: f64 = 5.0 * EPSILON;

/// For `first` and `second`: the roundings on a term's longest path into them, less two that the
/// bound of a sum adds. d·p, + g, 1 − beta1, their product, the sum, the reference; and d·p and + g
/// twice, the square, 1 − beta2, their product, the sum, the reference.
const BOUNDS: [ErrorBound; 2] = [
    ErrorBound::Products { terms: 4 },
    ErrorBound::Products { terms: 7 },
];

/// The values of one element.
#[derive(Clone, Copy)]
struct State {
    /// Its weight decay.
    decay: f64,
    gradient: f64,
    parameter: f64,
    first: f64,
    second: f64,
}

impl Adam {
    /// The bias corrections of the moments, which begin at zero, in the step after `number` steps:
    /// `1 / (1 − beta1ᵗ)` and `1 / √(1 − beta2ᵗ)`, where t is `number` + 1.
    pub fn scalars(beta1: f32, beta2: f32, number: u64) -> [f32; 2] {
        let steps = number as f64 + 1.0;
        let share = |beta: f32| 1.0 - f64::from(beta).powf(steps);
        [
            (1.0 / share(beta1)) as f32,
            (1.0 / share(beta2).sqrt()) as f32,
        ]
    }

    /// Elements per invocation: four if `len` is a multiple of four, as in every arena.
    fn at_once(&self) -> usize {
        if self.len.is_multiple_of(4) && !self.selective {
            4
        } else {
            1
        }
    }

    /// The factors of a parameter's `decay` in its gradient, and directly in the update.
    fn decays(&self, step: &Step, decay: f64) -> [f64; 2] {
        match self.decoupled {
            false => [decay, 0.0],
            true => [0.0, f64::from(step.learning_rate) * decay],
        }
    }

    /// Both moments after the step, as sums of products.
    fn moments(&self, step: &Step, before: State) -> [Sum; 2] {
        let [decay, _] = self.decays(step, before.decay);
        let State {
            gradient,
            parameter,
            ..
        } = before;
        let (beta1, beta2) = (f64::from(self.beta1), f64::from(self.beta2));
        let mut first = Sum::default();
        first.add_product(beta1, before.first);
        first.add_product(1.0 - beta1, gradient);
        first.add_product((1.0 - beta1) * decay, parameter);
        let mut second = Sum::default();
        second.add_product(beta2, before.second);
        second.add_product((1.0 - beta2) * gradient, gradient);
        second.add_product(2.0 * (1.0 - beta2) * decay * gradient, parameter);
        second.add_product((1.0 - beta2) * decay * decay * parameter, parameter);
        [first, second]
    }

    /// A parameter after the step, and the allowed error of a kernel that computes each moment
    /// within its bound.
    fn parameter(&self, step: &Step, before: State) -> (f64, f64) {
        let [first, second] = self.moments(step, before);
        let (first, first_error) = (first.value, error_of(&first, &BOUNDS[0]));
        let (second, second_error) = (second.value.max(0.0), error_of(&second, &BOUNDS[1]));
        let [correction, root_correction] = step.scalars.map(f64::from);
        let (rate, eps) = (f64::from(step.learning_rate), f64::from(self.eps));

        // A second moment below the smallest normal counts as zero.
        let least = Some(second - second_error).filter(|&least| least >= SMALLEST_NORMAL);
        let least = least.map_or(0.0, |least| least.sqrt() * (1.0 - ROOT));
        let most = (second + second_error).sqrt() * (1.0 + ROOT);
        // A product and a sum.
        let divisors = [
            (least * root_correction + eps) * (1.0 - 2.0 * EPSILON),
            (most * root_correction + eps) * (1.0 + 2.0 * EPSILON),
        ];

        // Two products; in another order one of them, times the third factor, may be flushed.
        let scale = (rate * correction).abs();
        let dividend = rate * correction * first;
        let flushed = (1.0 + rate.abs() + correction.abs()) * SMALLEST_NORMAL;
        let dividend_error =
            scale * first_error + 2.0 * EPSILON * scale * (first.abs() + first_error) + flushed;

        let right = dividend / (second.sqrt() * root_correction + eps);
        let mut change_error = 0f64;
        for dividend in [dividend - dividend_error, dividend + dividend_error] {
            for divisor in divisors {
                let quotient = dividend / divisor;
                let error = (quotient - right).abs() + QUOTIENT * quotient.abs();
                change_error = change_error.max(error);
            }
        }
        change_error += (1.0 + scale) * SMALLEST_NORMAL;

        // The difference and the reference; lr·d, 1 − lr·d and its product with the parameter.
        let [_, decay] = self.decays(step, before.decay);
        let terms = if self.decoupled { 3 } else { 0 };
        let magnitude = before.parameter.abs() * (1.0 + decay.abs()) + right.abs() + change_error;
        let value = before.parameter * (1.0 - decay) - right;
        (value, sum_error(terms, magnitude) + change_error)
    }
}

/// The allowed error of a sum under a bound.
fn error_of(sum: &Sum, bound: &ErrorBound) -> f64 {
    match sum.within(bound) {
        Element::Float { error, .. } => error,
        _ => 0.0,
    }
}

impl Op for Adam {
    fn name(&self) -> &'static str {
        match self.at_once() {
            4 => "adam_4",
            _ if self.selective => "adam_selective",
            _ => "adam",
        }
    }

    fn bindings(&self) -> Bindings {
        let updated = [
            Binding::update("parameters", self.len),
            Binding::update("first", self.len),
            Binding::update("second", self.len).of(Content::Positive),
        ];
        optimizer_bindings(self.len, self.selective, updated)
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.len / self.at_once()).constants([
            ("LEN", self.len as f64),
            ("BETA1", f64::from(self.beta1)),
            ("BETA2", f64::from(self.beta2)),
            ("EPS", f64::from(self.eps)),
            ("WEIGHT_DECAY", f64::from(self.weight_decay)),
            ("DECOUPLED", flag(self.decoupled)),
        ])
    }

    fn cost(&self) -> Cost {
        Cost::new(16 * self.len, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let step = args.step;
        let decay = Decay::new(args, self.weight_decay, self.selective);
        let (beta1, beta2) = (f64::from(self.beta1), f64::from(self.beta2));
        let (rate, eps) = (f64::from(step.learning_rate), f64::from(self.eps));
        let corrections = step.scalars.map(f64::from);
        let gradients = args.input(0).par_iter();
        let [parameters, first, second] = args.three_outputs();
        let state = parameters.par_iter_mut().zip(first).zip(second);
        let state = state.zip(gradients).enumerate();
        let state = state.with_min_len(min_task_len(ELEMENT));
        state.for_each(|(at, (((parameter, first), second), &gradient))| {
            let before = f64::from(*parameter);
            let [decay, decoupled_decay] = self.decays(step, decay.of(at));
            let gradient = f64::from(gradient) + decay * before;
            let m = beta1 * f64::from(*first) + (1.0 - beta1) * gradient;
            let v = beta2 * f64::from(*second) + (1.0 - beta2) * gradient * gradient;
            let change = rate * corrections[0] * m / (v.sqrt() * corrections[1] + eps);
            *parameter = (before * (1.0 - decoupled_decay) - change) as f32;
            (*first, *second) = (m as f32, v as f32);
        });
    }

    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        let before = State {
            decay: decay_of(args, self.weight_decay, self.selective, index),
            gradient: args.float(0, index),
            parameter: args.before(0, index),
            first: args.before(1, index),
            second: args.before(2, index),
        };
        if output == 0 {
            let (value, error) = self.parameter(args.step, before);
            return Element::Float { value, error };
        }
        let moment = output - 1;
        self.moments(args.step, before)[moment].within(&BOUNDS[moment])
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        let gradients = args.input(0).iter();
        let decay = Decay::new(args, self.weight_decay, self.selective);
        let before: [&[f32]; 3] =
            [0, 1, 2].map(|output| bytemuck::cast_slice(args.outputs[output]));
        let errors = gradients.enumerate().map(|(at, &gradient)| {
            let before = State {
                decay: decay.of(at),
                gradient: f64::from(gradient),
                parameter: f64::from(before[0][at]),
                first: f64::from(before[1][at]),
                second: f64::from(before[2][at]),
            };
            self.parameter(args.step, before).1
        });
        let [first, second] = BOUNDS;
        vec![ErrorBound::Each(errors.collect()), first, second]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let len = random.size(300);
    let (beta1, beta2) = [(0.9, 0.999), (0.4, 0.25), (0.0, 0.99)][random.below(3)];
    let number = [0, 1, 10, 100_000][random.below(4)];
    let step = Step::new(0, 1, 0, 0.0625).at(0, number as u32);
    let step = step.scalars(Adam::scalars(beta1, beta2, number));
    let mut case = |decoupled, selective| {
        let op = Adam {
            len,
            beta1,
            beta2,
            eps: [1e-8, 1e-3][random.below(2)],
            weight_decay: [0.0, 0.01][random.below(2)],
            decoupled,
            selective,
        };
        let mut case = optimizer_case(op, random).in_step(step);
        for word in &mut case.outputs[2] {
            *word = f32::from_bits(*word).abs().to_bits();
        }
        case
    };
    let (plain, decoupled) = (case(false, false), case(true, false));
    vec![plain, decoupled, case(false, true), case(true, true)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the sums of the gradients' weights in the moments.
    #[test]
    fn the_corrections_undo_that_moments_begin_at_zero() {
        for (beta1, beta2) in [(0.9f32, 0.999f32), (0.5, 0.75), (0.0, 0.0)] {
            let mut weights = [0f64; 2];
            for number in 0..1000 {
                for (weight, beta) in weights.iter_mut().zip([beta1, beta2]) {
                    *weight = f64::from(beta) * *weight + 1.0 - f64::from(beta);
                }
                let expected = [1.0 / weights[0], 1.0 / weights[1].sqrt()];
                let found = Adam::scalars(beta1, beta2, number);
                for (found, expected) in found.into_iter().zip(expected) {
                    let error = (f64::from(found) - expected).abs() / expected;
                    assert!(error <= 1.001 * EPSILON, "{beta1} {beta2} {number}");
                }
            }
        }
        assert_eq!(Adam::scalars(0.9, 0.999, u64::MAX), [1.0, 1.0]);
    }

    /// Without flushing or cancellation, the bound of an update is a few roundings.
    #[test]
    fn the_bound_is_some_roundings_of_the_update() {
        let op = Adam {
            len: 1,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
            selective: false,
        };
        let step = Step::new(0, 1, 0, 0.001).scalars(Adam::scalars(0.9, 0.999, 9));
        let before = State {
            decay: 0.0,
            gradient: 0.5,
            parameter: 1.0,
            first: 0.25,
            second: 0.125,
        };
        let (value, error) = op.parameter(&step, before);
        let change = 1.0 - value;
        assert!(change > 0.0 && error > 2.0 * EPSILON * value);
        assert!(error < 3.0 * EPSILON * value + 40.0 * EPSILON * change);
    }
}
