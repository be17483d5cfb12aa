//! Losses between a model's output and targets of the same shape.

use rayon::prelude::*;

use super::bound::{EPSILON, SMALLEST_NORMAL};
use super::case::{Case, Gradient, Random, SPACING};
use super::{
    Activation, Args, Binding, Bindings, Content, Cost, Element, Elements, ErrorBound, Launch, Op,
    Prelude, Shader, nested_loops, ordered_key,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation, Prelude::Step, Prelude::Order],
    include_str!("../../shaders/element_loss.wgsl"),
);

/// Elements that an invocation takes.
const RUN: usize = 16;

/// A loss of the difference e between an element of the output and of the target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Difference {
    /// e².
    Square,
    /// |e|.
    Absolute,
    /// e²/2 up to |e| = δ, and δ·(|e| − δ/2) beyond (Huber, 1964).
    Huber(f32),
}

/// A loss between elements, and its gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ElementFunction {
    /// Of their difference.
    Difference(Difference),
    /// Binary cross-entropy of a logit x against a probability t,
    /// `max(x, 0) − x·t + log(1 + e^−|x|)`, and whether x is above zero where t is above one half.
    BinaryCrossEntropy,
}

/// For each element of the step's rows, `d_output = loss′·scale / rows`; and for each run of 16
/// elements of a row, the sum of their losses, and of the elements that are right.
#[derive(Debug, Clone)]
pub struct ElementLoss {
    /// N.
    pub rows: usize,
    /// Elements of each row.
    pub len: usize,
    /// The loss of an element.
    pub function: ElementFunction,
    /// 1/len for the mean over the elements.
    pub scale: f32,
}

/// A value, and the error of a kernel.
type Approximate = (f64, f64);

/// The sign of a − b, NaN above all numbers.
fn sign_of_difference(a: f64, b: f64) -> f64 {
    let [a, b] = [a, b].map(|x| ordered_key(x as f32));
    f64::from(i8::from(a > b) - i8::from(a < b))
}

impl ElementFunction {
    /// Loss and derivative of an element. A difference takes one rounding, its square and the
    /// products two more.
    fn of(self, x: f64, target: f64) -> [Approximate; 2] {
        let error = x - target;
        let relative = |value: f64, roundings: f64| {
            (value, roundings * EPSILON * value.abs() + SMALLEST_NORMAL)
        };
        match self {
            ElementFunction::Difference(Difference::Square) => {
                [relative(error * error, 4.0), relative(2.0 * error, 2.0)]
            }
            ElementFunction::Difference(Difference::Absolute) => [
                relative(error.abs(), 2.0),
                (sign_of_difference(x, target), 0.0),
            ],
            ElementFunction::Difference(Difference::Huber(delta)) => {
                let delta = f64::from(delta);
                if error.abs() <= delta {
                    [relative(error * error / 2.0, 5.0), relative(error, 2.0)]
                } else {
                    // |e| − δ/2 is at least |e|/2, so that the rounding of e counts twice.
                    let loss = delta * (error.abs() - delta / 2.0);
                    [relative(loss, 6.0), relative(delta * error.signum(), 2.0)]
                }
            }
            ElementFunction::BinaryCrossEntropy => {
                let soft = (-x.abs()).exp().ln_1p();
                let (first, product) = (x.max(0.0), x * target);
                // exp(−|x|) has a relative error of 6 + 4|x| in ε, at most 8 times ε in all; its
                // sum with one a rounding, the logarithm an error of 8 more.
                let roundings = 3.0 * (first.abs() + product.abs());
                let lost = SMALLEST_NORMAL * (4.0 + x.abs() + target.abs());
                let loss = (first - product + soft, (20.0 + roundings) * EPSILON + lost);
                let sigmoid = Activation::Sigmoid.value(x);
                let roundings = 2.0 * EPSILON * (sigmoid.value + target.abs());
                let slope = sigmoid.value - target;
                [
                    loss,
                    (slope, 1.01 * sigmoid.error + roundings + SMALLEST_NORMAL),
                ]
            }
        }
    }

    /// The constants of the kernel.
    fn constants(self) -> Vec<(&'static str, f64)> {
        match self {
            ElementFunction::Difference(Difference::Square) => vec![("FUNCTION", 0.0)],
            ElementFunction::Difference(Difference::Absolute) => vec![("FUNCTION", 1.0)],
            ElementFunction::Difference(Difference::Huber(delta)) => {
                vec![("FUNCTION", 2.0), ("DELTA", delta.into())]
            }
            ElementFunction::BinaryCrossEntropy => Vec::new(),
        }
    }
}

impl ElementLoss {
    /// Runs of each row.
    pub fn runs(&self) -> usize {
        self.len.div_ceil(RUN)
    }

    /// The elements of a run, as indices into the output.
    fn run(&self, index: usize) -> std::ops::Range<usize> {
        let (row, run) = (index / self.runs(), index % self.runs());
        row * self.len + run * RUN..row * self.len + self.len.min((run + 1) * RUN)
    }

    fn counts(&self) -> bool {
        self.function == ElementFunction::BinaryCrossEntropy
    }

    /// The place of the gradient among the outputs.
    fn gradient(&self) -> usize {
        if self.counts() { 2 } else { 1 }
    }
}

/// Whether the logit x is above zero where the target is above one half.
fn is_right(x: f64, target: f64) -> bool {
    let above = |x: f64, least: f32| ordered_key(x as f32) > ordered_key(least);
    above(x, 0.0) == above(target, 0.5)
}

impl Op for ElementLoss {
    fn name(&self) -> &'static str {
        match self.counts() {
            true => "binary_cross_entropy",
            false => "difference_loss",
        }
    }

    fn bindings(&self) -> Bindings {
        let (all, runs) = (self.rows * self.len, self.rows * self.runs());
        let [output, targets] = ["output", "targets"].map(|name| Binding::read(name, all));
        let losses = Binding::write("losses", runs);
        if !self.counts() {
            let d_output = Binding::write("d_output", all);
            return Bindings::new([output, targets, losses, d_output]);
        }
        let correct = Binding::write("correct", runs).of(Content::Any);
        let d_logits = Binding::write("d_logits", all);
        Bindings::new([output, targets, losses, correct, d_logits])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.rows * self.runs())
            .constants([
                ("ROWS", self.rows as f64),
                ("LEN", self.len as f64),
                ("SCALE", self.scale.into()),
            ])
            .constants(self.function.constants())
            .longest_loop(nested_loops(&[RUN.min(self.len)]))
    }

    fn rows(&self) -> usize {
        self.rows
    }

    /// That of the logistic function's integral, σ·(1 − σ)·(1 − 2σ), is below 0.1.
    fn third_derivative(&self) -> f64 {
        match self.function {
            ElementFunction::Difference(_) => 0.0,
            ElementFunction::BinaryCrossEntropy => 0.1,
        }
    }

    fn cost(&self) -> Cost {
        Cost::new(8 * self.rows * self.len, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (output, targets, step) = (args.input(0), args.input(1), args.step);
        let factor = f64::from(self.scale) * f64::from(step.inverse_rows);
        let real = step.rows as usize;
        args.outputs.iter_mut().for_each(|output| output.fill(0));
        let element = |at: usize| (f64::from(output[at]), f64::from(targets[at]));
        let losses = args.outputs[0].par_iter_mut().take(real * self.runs());
        losses.enumerate().for_each(|(index, loss)| {
            let of = |at: usize| {
                let (x, target) = element(at);
                self.function.of(x, target)[0].0
            };
            *loss = (self.run(index).map(of).sum::<f64>() as f32).to_bits();
        });
        if self.counts() {
            for (index, count) in args.outputs[1]
                .iter_mut()
                .take(real * self.runs())
                .enumerate()
            {
                let right = self
                    .run(index)
                    .map(element)
                    .filter(|&(x, t)| is_right(x, t));
                *count = right.count() as u32;
            }
        }
        let gradient = args.outputs[self.gradient()].par_iter_mut();
        gradient
            .take(real * self.len)
            .enumerate()
            .for_each(|(at, slope)| {
                let (x, target) = element(at);
                *slope = ((self.function.of(x, target)[1].0 * factor) as f32).to_bits();
            });
    }

    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        let of = |at: usize| (args.float(0, at), args.float(1, at));
        let is_gradient = output == self.gradient();
        let row = index / if is_gradient { self.len } else { self.runs() };
        if row >= args.step.rows as usize {
            return Element::Word(0);
        }
        if is_gradient {
            let (x, target) = of(index);
            let [_, (slope, error)] = self.function.of(x, target);
            let factor = f64::from(self.scale) * f64::from(args.step.inverse_rows);
            let value = slope * factor;
            let error = error * factor + 3.0 * EPSILON * value.abs() + SMALLEST_NORMAL;
            return Element::Float { value, error };
        }
        if output == 1 {
            let right = self.run(index).map(of).filter(|&(x, t)| is_right(x, t));
            return Element::Word(right.count() as u32);
        }
        let (mut value, mut error, mut magnitude) = (0.0, 0.0, 0.0);
        for (x, target) in self.run(index).map(of) {
            let [(loss, of_loss), _] = self.function.of(x, target);
            (value, error, magnitude) = (value + loss, error + of_loss, magnitude + loss.abs());
        }
        let error = error + (RUN as f64 + 1.0) * EPSILON * (magnitude + error);
        Element::Float { value, error }
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        ErrorBound::of_elements(self, args)
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let case = |function| {
        let (rows, len) = (random.size(9), random.size(50));
        let scale = 1.0 / len as f32;
        let op = ElementLoss {
            rows,
            len,
            function,
            scale,
        };
        let output = op.gradient();
        let mut case = Case::of_floats(op, random).in_step(random.step(rows, 1));
        case.gradients.push(Gradient::Own {
            input: 0,
            output,
            upstream: scale * case.step.inverse_rows,
        });
        case
    };
    // Spaced values differ by even multiples of their spacing, so none is at the knot of Huber.
    let knot = 0.5 + SPACING;
    let differences = [
        Difference::Square,
        Difference::Absolute,
        Difference::Huber(knot),
    ];
    let differences = differences.map(ElementFunction::Difference).into_iter();
    differences
        .chain([ElementFunction::BinaryCrossEntropy])
        .map(case)
        .collect()
}
