//! Softmax cross-entropy against labels or probabilities, for each row or pixel.

use rayon::prelude::*;

use super::bound::{EPSILON, SMALLEST_NORMAL};
use super::case::{Case, Gradient, Random};
use super::{
    Args, Binding, Bindings, Content, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude,
    Shader, first_largest, flag, nested_loops,
};

pub(super) const SHADER: Shader = Shader::new(
    &[
        Prelude::Invocation,
        Prelude::Step,
        Prelude::Order,
        Prelude::Logits,
    ],
    include_str!("../../shaders/soft_cross_entropy.wgsl"),
);

/// For each pixel of a row, with shares `k_c = w_c·((1 − smoothing)·t_c + smoothing/C)` of its
/// target: `loss = −Σ_c k_c·log softmax(logits)_c`,
/// `d_logits = (softmax(logits)_c·Σk − k_c)·scale / rows`, and whether its largest logit is that of
/// the label, or of the largest target. Logits are (N, C, P); targets are labels (N, P), so that t
/// is one at the label, or probabilities (N, C, P); there are C class weights w. As in
/// [`CrossEntropy`](super::CrossEntropy), a pixel with NaN or +∞, or only −∞, has the loss NaN, and
/// so is its gradient.
#[derive(Debug, Clone)]
pub struct SoftCrossEntropy {
    /// N.
    pub rows: usize,
    /// C.
    pub classes: usize,
    /// P: pixels of a row; 1 for logits (N, C).
    pub area: usize,
    /// Whether the targets are labels.
    pub hard: bool,
    /// The share of the target that is spread over all classes.
    pub smoothing: f32,
    /// 1/P for the mean over the pixels.
    pub scale: f32,
}

/// One pixel's numbers in f64.
struct Pixel {
    /// Logit minus the largest.
    shifted: Vec<f64>,
    /// k.
    shares: Vec<f64>,
    /// log Σ exp(shifted).
    log_sum: f64,
    /// Largest minus smallest finite logit.
    spread: f64,
    is_correct: bool,
}

impl Pixel {
    fn is_number(&self) -> bool {
        self.log_sum.is_finite()
    }

    /// −Σ k·log softmax. A share of zero takes no part, even of an infinite term.
    fn loss(&self) -> f64 {
        if !self.is_number() {
            return f64::NAN;
        }
        let terms = self.shifted.iter().zip(&self.shares);
        let terms = terms.filter(|(_, share)| share.abs() > 0.0);
        terms.map(|(x, share)| share * (self.log_sum - x)).sum()
    }

    /// Σ|k|.
    fn all_shares(&self) -> f64 {
        self.shares.iter().map(|share| share.abs()).sum()
    }

    /// From WGSL's stated accuracy, as [`CrossEntropy`](super::CrossEntropy) derives it: log
    /// softmax has an error of 16 + 7·ln C + C + 7R, with R the spread of the logits, all in ε. A
    /// share takes four roundings; the sum of C products takes C.
    fn loss_error(&self) -> f64 {
        let classes = self.shares.len() as f64;
        let of_log = 16.0 + 7.0 * classes.ln() + classes + 7.0 * self.spread;
        let terms = self.shifted.iter().zip(&self.shares);
        let finite = terms.filter(|(x, _)| x.is_finite());
        let magnitude: f64 = finite
            .map(|(x, share)| (share * (self.log_sum - x)).abs())
            .sum();
        (of_log * self.all_shares() + (classes + 6.0) * magnitude) * EPSILON
            + SMALLEST_NORMAL * classes * (2.0 + self.spread + self.log_sum.abs())
    }

    /// A probability has an error of 20 + C + 10R, in ε; the sum of C shares takes C roundings
    /// after the four of each; four more follow.
    fn gradient_error(&self, class: usize) -> f64 {
        let classes = self.shares.len() as f64;
        let of_product = (30.0 + 2.0 * classes + 10.0 * self.spread) * self.all_shares();
        (of_product + 8.0 * self.shares[class].abs()) * EPSILON
    }
}

impl SoftCrossEntropy {
    fn pixel(
        &self,
        logit: impl Fn(usize) -> f32,
        target: impl Fn(usize) -> f32,
        label: Option<u32>,
        weight: impl Fn(usize) -> f32,
    ) -> Pixel {
        let logits: Vec<f32> = (0..self.classes).map(logit).collect();
        let targets: Vec<f32> = match label {
            Some(label) => (0..self.classes as u32)
                .map(|class| f32::from(u8::from(class == label)))
                .collect(),
            None => (0..self.classes).map(target).collect(),
        };
        let smoothing = f64::from(self.smoothing);
        let shares = targets.iter().enumerate().map(|(class, &target)| {
            let smooth = f64::from(target) * (1.0 - smoothing) + smoothing / self.classes as f64;
            f64::from(weight(class)) * smooth
        });
        let best = first_largest(&logits);
        let largest = f64::from(logits[best as usize]);
        let shifted: Vec<f64> = logits.iter().map(|&x| f64::from(x) - largest).collect();
        let finite = shifted.iter().copied().filter(|x| x.is_finite());
        let sum: f64 = shifted.iter().map(|x| x.exp()).sum();
        Pixel {
            log_sum: if largest.is_finite() {
                sum.ln()
            } else {
                f64::NAN
            },
            spread: -finite.fold(0.0, f64::min),
            shares: shares.collect(),
            shifted,
            is_correct: best == label.unwrap_or_else(|| first_largest(&targets)),
        }
    }

    /// The factor of a gradient in a step of `1 / inverse_rows` rows.
    fn factor(&self, inverse_rows: f32) -> f64 {
        f64::from(self.scale) * f64::from(inverse_rows)
    }

    /// The index of the logit of a class of a pixel.
    fn at(&self, pixel: usize, class: usize) -> usize {
        (pixel / self.area * self.classes + class) * self.area + pixel % self.area
    }
}

impl Op for SoftCrossEntropy {
    fn name(&self) -> &'static str {
        "soft_cross_entropy"
    }

    fn bindings(&self) -> Bindings {
        let pixels = self.rows * self.area;
        let targets = match self.hard {
            true => Binding::read("targets", pixels).of(Content::below(self.classes)),
            false => Binding::read("targets", pixels * self.classes).of(Content::Positive),
        };
        Bindings::new([
            Binding::read("logits", pixels * self.classes),
            targets,
            Binding::read("weights", self.classes).of(Content::Positive),
            Binding::write("losses", pixels),
            Binding::write("correct", pixels).of(Content::Any),
            Binding::write("d_logits", pixels * self.classes),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.rows * self.area)
            .constants([
                ("ROWS", self.rows as f64),
                ("CLASSES", self.classes as f64),
                ("AREA", self.area as f64),
                ("CLASS_STRIDE", self.area as f64),
                ("HARD", flag(self.hard)),
                ("SMOOTHING", self.smoothing.into()),
                ("SCALE", self.scale.into()),
            ])
            .longest_loop(4 * nested_loops(&[self.classes]))
    }

    fn rows(&self) -> usize {
        self.rows
    }

    /// As of [`CrossEntropy`](super::CrossEntropy), times the sum of the shares: in the cases of
    /// verification at most 32.
    fn third_derivative(&self) -> f64 {
        0.77 * 32.0
    }

    fn cost(&self) -> Cost {
        Cost::new(16 * self.rows * self.classes * self.area, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (logits, weights, step) = (args.input(0), args.input(2), args.step);
        let (words, floats) = (args.inputs[1], args.input(1));
        let real = step.rows as usize * self.area;
        let pixels: Vec<Pixel> = (0..real)
            .into_par_iter()
            .map(|pixel| {
                self.pixel(
                    |class| logits[self.at(pixel, class)],
                    |class| floats[self.at(pixel, class)],
                    self.hard.then(|| words[pixel]),
                    |class| weights[class],
                )
            })
            .collect();
        args.outputs.iter_mut().for_each(|output| output.fill(0));
        let factor = self.factor(step.inverse_rows);
        for (place, pixel) in pixels.iter().enumerate() {
            args.outputs[0][place] = (pixel.loss() as f32).to_bits();
            args.outputs[1][place] = pixel.is_correct.into();
            let all: f64 = pixel.shares.iter().sum();
            for (class, share) in pixel.shares.iter().enumerate() {
                let probability = (pixel.shifted[class] - pixel.log_sum).exp();
                let error = (probability * all - share) * factor;
                args.outputs[2][self.at(place, class)] = (error as f32).to_bits();
            }
        }
    }

    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        let (pixel, class) = match output {
            2 => {
                let (outer, inner) = (index / self.area, index % self.area);
                let row = outer / self.classes;
                (row * self.area + inner, outer % self.classes)
            }
            _ => (index, 0),
        };
        if pixel / self.area >= args.step.rows as usize {
            return Element::Word(0);
        }
        let found = self.pixel(
            |class| f32::from_bits(args.word(0, self.at(pixel, class))),
            |class| f32::from_bits(args.word(1, self.at(pixel, class))),
            self.hard.then(|| args.word(1, pixel)),
            |class| f32::from_bits(args.word(2, class)),
        );
        match output {
            0 => Element::Float {
                value: found.loss(),
                error: found.loss_error(),
            },
            1 => Element::Word(found.is_correct.into()),
            _ => {
                let factor = self.factor(args.step.inverse_rows);
                let probability = (found.shifted[class] - found.log_sum).exp();
                let all: f64 = found.shares.iter().sum();
                Element::Float {
                    value: (probability * all - found.shares[class]) * factor,
                    error: found.gradient_error(class) * factor,
                }
            }
        }
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        ErrorBound::of_elements(self, args)
    }
}

/// Positive weights or probabilities of a few bits.
fn shares(random: &mut Random, len: usize) -> Vec<u32> {
    let share = |_| (random.below(9) as f32 / 4.0).to_bits();
    (0..len).map(share).collect()
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let case = |(hard, smoothing): (bool, f32)| {
        let (rows, classes, area) = (random.size(9), random.size(7), random.size(9));
        let scale = 1.0 / area as f32;
        let op = SoftCrossEntropy {
            rows,
            classes,
            area,
            hard,
            smoothing,
            scale,
        };
        let targets = match hard {
            true => random.indices(rows * area, classes),
            false => shares(random, rows * classes * area),
        };
        let logits = random.floats(rows * classes * area);
        let inputs = vec![logits, targets, shares(random, classes)];
        let mut case = Case::of(op, inputs, random).in_step(random.step(rows, 1));
        case.gradients.push(Gradient::Own {
            input: 0,
            output: 2,
            upstream: scale * case.step.inverse_rows,
        });
        case
    };
    [(true, 0.0), (true, 0.125), (false, 0.0), (false, 0.25)]
        .map(case)
        .into()
}
