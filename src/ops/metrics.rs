//! The metrics of a step: its loss, and its number of correct predictions.

use super::case::{Case, Random};
use super::{
    Args, Binding, Bindings, Content, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude,
    Shader, Sum, WORKGROUP_SIZE, nested_loops, ordered_key,
};

pub(super) const SHADER: Shader = Shader::new(
    &[
        Prelude::Invocation,
        Prelude::Step,
        Prelude::Order,
        Prelude::Logits,
    ],
    include_str!("../../shaders/metrics.wgsl"),
);

/// Words per step: the loss sum and the number of correct predictions.
pub const METRIC_WORDS: usize = 2;

/// Fills slot `step.slot` of two tables: `loss_sum = Σ row_loss`, and `correct` = the number of
/// rows whose largest logit (the first, if several tie) is the label's.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// N.
    pub rows: usize,
    /// C.
    pub classes: usize,
    /// Steps whose metrics the tables hold.
    pub slots: usize,
}

impl Op for Metrics {
    fn name(&self) -> &'static str {
        "metrics"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("row_loss", self.rows),
            Binding::read("logits", self.rows * self.classes),
            Binding::read("labels", self.rows).of(Content::below(self.classes)),
            Binding::update("loss_sum", self.slots),
            Binding::update("correct", self.slots).of(Content::Any),
        ])
    }

    fn launch(&self) -> Launch {
        let rows = (self.rows as u64).div_ceil(WORKGROUP_SIZE);
        Launch::of_workgroups(SHADER, 1)
            .constants([("CLASSES", self.classes as f64)])
            .longest_loop(
                rows * (1 + nested_loops(&[self.classes]))
                    + 1
                    + u64::from(WORKGROUP_SIZE.ilog2())
                    + 1,
            )
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn cost(&self) -> Cost {
        Cost::new(self.rows * (self.classes + 1), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (row_loss, logits, labels) = (args.input(0), args.input(1), args.inputs[2]);
        let (rows, slot) = (args.step.rows as usize, args.step.slot as usize);
        let loss_sum: f64 = row_loss[..rows].iter().map(|&loss| f64::from(loss)).sum();
        let answers = logits.chunks(self.classes).map(first_largest);
        let correct = answers
            .zip(labels)
            .take(rows)
            .filter(|(answer, label)| answer == *label);
        args.outputs[1][slot] = correct.count() as u32;
        args.output()[slot] = loss_sum as f32;
    }

    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        if index != args.step.slot as usize {
            return Element::Word(args.outputs[output](index));
        }
        let rows = 0..args.step.rows as usize;
        if output == 1 {
            let right = |&row: &usize| {
                let logits: Vec<f32> = (0..self.classes)
                    .map(|class| f32::from_bits(args.word(1, row * self.classes + class)))
                    .collect();
                first_largest(&logits) == args.word(2, row)
            };
            return Element::Word(rows.filter(right).count() as u32);
        }
        let mut sum = Sum::default();
        rows.for_each(|row| sum.add(args.float(0, row)));
        sum.within(&ErrorBound::Sum { terms: self.rows })
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Sum { terms: self.rows }, ErrorBound::Exact]
    }
}

/// The index of the largest value, the first if several tie; NaN counts as the largest.
pub(crate) fn first_largest(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (class, &logit) in logits.iter().enumerate() {
        if ordered_key(logit) > ordered_key(logits[best]) {
            best = class;
        }
    }
    best as u32
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let (rows, classes, slots) = (random.size(200), random.size(11), random.size(5));
    let inputs = vec![
        random.floats(rows),
        random.floats(rows * classes),
        random.indices(rows, classes),
    ];
    let op = Metrics {
        rows,
        classes,
        slots,
    };
    vec![Case::of(op, inputs, random).in_step(random.step(rows, slots))]
}
