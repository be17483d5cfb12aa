//! Softmax cross-entropy against class labels.

use super::bound::EPSILON;
use super::case::{Case, Gradient, Random};
use super::{
    Args, Binding, Bindings, Content, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude,
    Shader, Step, nested_loops,
};

pub(super) const SHADER: Shader = Shader::new(
    &[
        Prelude::Invocation,
        Prelude::Step,
        Prelude::Order,
        Prelude::Logits,
    ],
    include_str!("../../shaders/cross_entropy.wgsl"),
);

/// For each row, `row_loss = −log softmax(logits)[label]` and
/// `d_logits = (softmax(logits) − t) / rows`, with `t` one at the label and zero elsewhere. The
/// row's maximum is subtracted first, so that no exponential overflows. If a row has NaN or +∞, or
/// only −∞, its loss and its whole gradient are NaN.
#[derive(Debug, Clone)]
pub struct CrossEntropy {
    /// N.
    pub rows: usize,
    /// C.
    pub classes: usize,
}

impl CrossEntropy {
    /// The allowed errors of a row's loss, and of its gradient, from WGSL's stated accuracy:
    /// `exp(x)` has an error of 3 + 2|x| ulp, an ulp being at most 2ε, and its argument one of
    /// ε|x|, so with R the spread of a row's logits each exponential has a relative error of (6 +
    /// 5R)ε, and their sum one of Cε more. `log` has an error of 2⁻²¹ = 8ε between ½ and 2, else of
    /// 3 ulp; a division 2.5 ulp. A logit of −∞ has an exponential of exactly zero; the result of a
    /// row with NaN or +∞ is NaN, without an error.
    fn errors(&self, spread: f64, step: &Step) -> [f64; 2] {
        let classes = self.classes as f64;
        let loss = 16.0 + 7.0 * classes.ln() + classes + 7.0 * spread;
        let gradient = (20.0 + classes + 10.0 * spread) * f64::from(step.inverse_rows);
        [loss * EPSILON, gradient * EPSILON]
    }
}

impl Op for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn bindings(&self) -> Bindings {
        let logits = self.rows * self.classes;
        Bindings::new([
            Binding::read("logits", logits),
            Binding::read("labels", self.rows).of(Content::below(self.classes)),
            Binding::write("row_loss", self.rows),
            Binding::write("d_logits", logits),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.rows)
            .constants([("ROWS", self.rows as f64), ("CLASSES", self.classes as f64)])
            .longest_loop(3 * nested_loops(&[self.classes]))
    }

    fn rows(&self) -> usize {
        self.rows
    }

    /// The third central moment of ±1, `8·p·q·|p − q|` with p + q = 1, is below 0.77.
    fn third_derivative(&self) -> f64 {
        0.77
    }

    fn cost(&self) -> Cost {
        Cost::new(8 * self.rows * self.classes, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (logits, labels, step) = (args.input(0), args.inputs[1], args.step);
        let (row_loss, d_logits) = args.two_outputs();
        row_loss.fill(0.0);
        d_logits.fill(0.0);
        let rows = logits
            .chunks(self.classes)
            .zip(d_logits.chunks_mut(self.classes));
        for (row, (logits, d_logits)) in rows.take(step.rows as usize).enumerate() {
            let label = labels[row] as usize;
            let largest = logits.iter().fold(f32::NEG_INFINITY, |max, &x| max.max(x));
            let shifted = |x: f32| f64::from(x) - f64::from(largest);
            let sum: f64 = logits.iter().map(|&x| shifted(x).exp()).sum();
            row_loss[row] = (sum.ln() - shifted(logits[label])) as f32;
            for (class, (d_logit, &x)) in d_logits.iter_mut().zip(logits).enumerate() {
                let target = f64::from(u8::from(class == label));
                let error = shifted(x).exp() / sum - target;
                *d_logit = (error * f64::from(step.inverse_rows)) as f32;
            }
        }
    }

    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        let row = if output == 0 {
            index
        } else {
            index / self.classes
        };
        if row >= args.step.rows as usize {
            return Element::Word(0);
        }
        let label = args.word(1, row) as usize;
        let logits: Vec<f64> = (0..self.classes)
            .map(|class| args.float(0, row * self.classes + class))
            .collect();
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let finite = logits.iter().copied().filter(|x| x.is_finite());
        let smallest = finite.fold(f64::INFINITY, f64::min);
        let sum: f64 = logits.iter().map(|x| (x - largest).exp()).sum();
        let [loss_error, gradient_error] = self.errors(largest - smallest, args.step);
        if output == 0 {
            let value = sum.ln() - (logits[label] - largest);
            return Element::Float {
                value,
                error: loss_error,
            };
        }
        let class = index % self.classes;
        let target = f64::from(u8::from(class == label));
        let value = (logits[class] - largest).exp() / sum - target;
        let value = value * f64::from(args.step.inverse_rows);
        Element::Float {
            value,
            error: gradient_error,
        }
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        let spread = args
            .input(0)
            .chunks(self.classes)
            .fold(0f64, |spread, row| {
                if row.iter().any(|x| x.is_nan() || *x == f32::INFINITY) {
                    return spread;
                }
                let finite = || row.iter().copied().filter(|x| x.is_finite());
                let largest = finite().fold(f32::NEG_INFINITY, f32::max);
                let smallest = finite().fold(f32::INFINITY, f32::min);
                spread.max(f64::from(largest) - f64::from(smallest))
            });
        self.errors(spread, args.step)
            .map(ErrorBound::Absolute)
            .into()
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let (rows, classes) = (random.size(70), random.size(11));
    let inputs = vec![random.floats(rows * classes), random.indices(rows, classes)];
    let mut case =
        Case::of(CrossEntropy { rows, classes }, inputs, random).in_step(random.step(rows, 1));
    case.gradients.push(Gradient::Own {
        input: 0,
        output: 1,
        upstream: case.step.inverse_rows,
    });
    vec![case]
}
