//! RMSprop over an arena: one dispatch for all layers.

use super::bound::{EPSILON, SMALLEST_NORMAL, sum_error};
use super::case::{Case, Random};
use super::sizes::decay::{Decay, decay_of, optimizer_bindings, optimizer_case};
use super::{
    Args, Binding, Bindings, Content, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude,
    Shader, Sum,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation, Prelude::Step],
    include_str!("../../shaders/rms_prop.wgsl"),
);

/// RMSprop (Hinton's lecture 6e, 2012) as in PyTorch, with the step's learning rate lr and d =
/// `weight_decay` in blocks that an input marks, else 0.
///
/// g is the gradient + d·p, and `square = alpha·square + (1 − alpha)·g²`. The update u is
/// `g / (√square + eps)`, or if `centered` `g / (√max(square − mean², 0) + eps)` with
/// `mean = alpha·mean + (1 − alpha)·g` (Graves, 2013, arXiv:1308.0850). Then `p -= lr·u`, or with
/// momentum `velocity = momentum·velocity + u; p -= lr·velocity`.
#[derive(Debug, Clone)]
pub struct RmsProp {
    /// Elements of the arena.
    pub len: usize,
    /// Decay of the means, in [0, 1).
    pub alpha: f32,
    /// Added to the root; above zero.
    pub eps: f32,
    /// PyTorch's `weight_decay`.
    pub weight_decay: f32,
    /// PyTorch's `momentum`; there is no velocity if it is 0.
    pub momentum: f32,
    /// Whether the mean gradient is subtracted.
    pub centered: bool,
}

/// The relative errors of a root, which WGSL allows to be 1 / `inverseSqrt`, and of a quotient: see
/// Adam's.
const ROOT: f64 = 10.0 * EPSILON;
const QUOTIENT: f64 = 5.0 * EPSILON;

/// The roundings on a term's longest path into the gradient, its mean and its mean square, less two
/// that the bound of a sum adds: as Adam's moments.
const GRADIENT: ErrorBound = ErrorBound::Products { terms: 2 };
const MEAN: ErrorBound = ErrorBound::Products { terms: 4 };
const SQUARE: ErrorBound = ErrorBound::Products { terms: 7 };

/// The values of one element.
#[derive(Clone, Copy)]
struct State {
    /// Its weight decay.
    decay: f64,
    gradient: f64,
    parameter: f64,
    square: f64,
    mean: f64,
    velocity: f64,
}

/// A value, and the allowed error of a kernel.
type Bounded = (f64, f64);

/// A sum and its error under a bound.
fn bounded(sum: &Sum, bound: &ErrorBound) -> Bounded {
    match sum.within(bound) {
        Element::Float { value, error } => (value, error),
        _ => (sum.value, 0.0),
    }
}

impl RmsProp {
    fn has_velocity(&self) -> bool {
        self.momentum > 0.0
    }

    /// The outputs, of which the parameters and the mean square are the first.
    fn outputs(&self) -> Vec<&'static str> {
        let mut outputs = vec!["parameters", "square"];
        outputs.extend(self.centered.then_some("mean"));
        outputs.extend(self.has_velocity().then_some("velocity"));
        outputs
    }

    /// An element before the step, with the contents of its outputs from `output`.
    fn state(&self, decay: f64, gradient: f64, output: impl Fn(usize) -> f64) -> State {
        State {
            decay,
            gradient,
            parameter: output(0),
            square: output(1),
            mean: if self.centered { output(2) } else { 0.0 },
            velocity: match self.has_velocity() {
                true => output(self.outputs().len() - 1),
                false => 0.0,
            },
        }
    }

    /// An element of each output after the step, in their order, with the allowed errors.
    fn after(&self, rate: f64, before: State) -> Vec<Bounded> {
        let (alpha, decay, p) = (f64::from(self.alpha), before.decay, before.parameter);
        let mut sum = Sum::from(before.gradient);
        sum.add_product(decay, p);
        let (gradient, gradient_error) = bounded(&sum, &GRADIENT);

        let mut sum = Sum::default();
        sum.add_product(alpha, before.square);
        sum.add_product((1.0 - alpha) * before.gradient, before.gradient);
        sum.add_product(2.0 * (1.0 - alpha) * decay * before.gradient, p);
        sum.add_product((1.0 - alpha) * decay * decay * p, p);
        let (square, square_error) = bounded(&sum, &SQUARE);

        let mut sum = Sum::default();
        sum.add_product(alpha, before.mean);
        sum.add_product(1.0 - alpha, before.gradient);
        sum.add_product((1.0 - alpha) * decay, p);
        let (mean, mean_error) = bounded(&sum, &MEAN);

        let (mut variance, mut error) = (square.max(0.0), square_error);
        if self.centered {
            let most = (mean.abs() + mean_error).powi(2);
            variance = (square - mean * mean).max(0.0);
            // Of the mean, its square, and the difference.
            error += most - mean * mean + 3.0 * EPSILON * (square.abs() + square_error + most);
            error += 3.0 * SMALLEST_NORMAL;
        }
        // A variance below the smallest normal counts as zero.
        let least = Some(variance - error).filter(|&least| least >= SMALLEST_NORMAL);
        let least = least.map_or(0.0, |least| least.sqrt() * (1.0 - ROOT));
        let most = (variance + error).max(SMALLEST_NORMAL).sqrt() * (1.0 + ROOT);
        let eps = f64::from(self.eps);
        let divisors = [
            (least + eps) * (1.0 - 2.0 * EPSILON),
            (most + eps) * (1.0 + 2.0 * EPSILON),
        ];
        let update = gradient / (variance.sqrt() + eps);
        let mut update_error = 0f64;
        for dividend in [gradient - gradient_error, gradient + gradient_error] {
            for divisor in divisors {
                let quotient = dividend / divisor;
                let off = (quotient - update).abs() + QUOTIENT * quotient.abs();
                update_error = update_error.max(off);
            }
        }
        update_error += SMALLEST_NORMAL;

        let momentum = f64::from(self.momentum);
        let (mut velocity, mut velocity_error) = (update, update_error);
        if self.has_velocity() {
            let kept = momentum * before.velocity;
            velocity += kept;
            velocity_error += sum_error(2, kept.abs() + update.abs() + update_error);
        }
        let moved = rate.abs() * (velocity.abs() + velocity_error);
        let flushed = (1.0 + rate.abs()) * SMALLEST_NORMAL;
        let error = rate.abs() * velocity_error + sum_error(2, p.abs() + moved) + flushed;
        let mut outputs = vec![(p - rate * velocity, error), (square, square_error)];
        outputs.extend(self.centered.then_some((mean, mean_error)));
        outputs.extend(self.has_velocity().then_some((velocity, velocity_error)));
        outputs
    }
}

impl Op for RmsProp {
    fn name(&self) -> &'static str {
        match (self.centered, self.has_velocity()) {
            (false, false) => "rms_prop",
            (true, false) => "rms_prop_centered",
            (false, true) => "rms_prop_momentum",
            (true, true) => "rms_prop_centered_momentum",
        }
    }

    fn bindings(&self) -> Bindings {
        let updated = self.outputs().into_iter().map(|name| {
            let binding = Binding::update(name, self.len);
            match name {
                "square" => binding.of(Content::Positive),
                _ => binding,
            }
        });
        optimizer_bindings(self.len, true, updated)
    }

    fn launch(&self) -> Launch {
        let mut constants = vec![
            ("LEN", self.len as f64),
            ("ALPHA", f64::from(self.alpha)),
            ("EPS", f64::from(self.eps)),
            ("WEIGHT_DECAY", f64::from(self.weight_decay)),
        ];
        if self.has_velocity() {
            constants.push(("MOMENTUM", f64::from(self.momentum)));
        }
        Launch::new(SHADER, self.len).constants(constants)
    }

    fn cost(&self) -> Cost {
        Cost::new(16 * self.len, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let rate = f64::from(args.step.learning_rate);
        let decay = Decay::new(args, self.weight_decay, true);
        let gradients = args.input(0);
        let outputs = args.outputs.iter_mut();
        let mut outputs: Vec<&mut [f32]> = outputs
            .map(|words| bytemuck::cast_slice_mut(words))
            .collect();
        for (at, &gradient) in gradients.iter().enumerate() {
            let before = self.state(decay.of(at), gradient.into(), |i| outputs[i][at].into());
            let after = self.after(rate, before);
            for (output, (value, _)) in outputs.iter_mut().zip(after) {
                output[at] = value as f32;
            }
        }
    }

    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        let decay = decay_of(args, self.weight_decay, true, index);
        let gradient = args.float(0, index);
        let before = self.state(decay, gradient, |output| args.before(output, index));
        let (value, error) = self.after(args.step.learning_rate.into(), before)[output];
        Element::Float { value, error }
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        ErrorBound::of_elements(self, args)
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let len = random.size(300);
    let mut case = |momentum, centered| {
        let op = RmsProp {
            len,
            alpha: [0.99, 0.5][random.below(2)],
            eps: [1e-8, 1e-3][random.below(2)],
            weight_decay: [0.0, 0.01][random.below(2)],
            momentum,
            centered,
        };
        let mut case = optimizer_case(op, random);
        // No mean square is below the square of the mean.
        for at in 0..len {
            let mean = if centered { case.outputs[2][at] } else { 0 };
            let [mean, own] = [mean, case.outputs[1][at]].map(f32::from_bits);
            case.outputs[1][at] = (1.01 * mean * mean + own.abs() + 1e-3).to_bits();
        }
        case
    };
    vec![
        case(0.0, false),
        case(0.0, true),
        case(0.9, false),
        case(0.9, true),
    ]
}
