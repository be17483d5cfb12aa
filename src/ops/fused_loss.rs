//! A loss, its gradient and the step's metrics in one kernel, by one workgroup.

use std::borrow::Cow;

use super::bound::{EPSILON, SMALLEST_NORMAL};
use super::case::{Case, Random};
use super::gather::{gather_labels, sample_of};
use super::{
    Args, Binding, Bindings, Content, Cost, CrossEntropy, Element, Elements, ErrorBound, Launch,
    Metrics, Mse, Op, Prelude, Shader, WORKGROUP_SIZE, flag, nested_loops,
};

pub(super) const SHADER: Shader = Shader::new(
    &[
        Prelude::Invocation,
        Prelude::Step,
        Prelude::Order,
        Prelude::Logits,
    ],
    include_str!("../../shaders/fused_loss.wgsl"),
);

/// [`Mse`] or [`CrossEntropy`], followed by [`Metrics`].
#[derive(Debug, Clone)]
pub struct FusedLoss {
    /// The loss of each row, and its gradient.
    pub loss: RowLoss,
    /// Its sum, and the number of correct predictions.
    pub metrics: Metrics,
    /// If set, the number of samples in the data set; its labels are read through `order`, as by
    /// [`Gather`](super::Gather). Otherwise `labels` are the batch's, and `order` is ignored.
    pub gathered: Option<usize>,
}

/// The loss of a row.
#[derive(Debug, Clone)]
pub enum RowLoss {
    /// Mean squared error.
    Mse(Mse),
    /// Softmax cross-entropy.
    CrossEntropy(CrossEntropy),
}

impl RowLoss {
    fn op(&self) -> &dyn Op {
        match self {
            RowLoss::Mse(mse) => mse,
            RowLoss::CrossEntropy(cross_entropy) => cross_entropy,
        }
    }
}

impl FusedLoss {
    /// The labels and their order: bytes of the data set, or the batch's labels, which are bound in
    /// place of the order too.
    fn labels_and_order(&self) -> [Binding; 2] {
        let Metrics { rows, classes, .. } = self.metrics;
        match self.gathered {
            Some(samples) => [
                Binding::read("labels", samples.div_ceil(4)).of(Content::labels(classes)),
                Binding::read("order", samples).of(Content::below(samples)),
            ],
            None => ["labels", "order"]
                .map(|name| Binding::read(name, rows).of(Content::below(classes))),
        }
    }

    /// The label of a row.
    fn label_at(&self, args: &Elements<'_>, row: usize) -> u32 {
        if self.gathered.is_none() {
            return args.word(1, row);
        }
        sample_of(args, 2, row).map_or(0, |sample| args.byte(1, sample).into())
    }

    /// The batch's labels.
    fn labels<'a>(&self, args: &Args<'a>) -> Cow<'a, [u32]> {
        if self.gathered.is_none() {
            return Cow::Borrowed(args.inputs[1]);
        }
        let mut labels = vec![0; self.metrics.rows];
        gather_labels(args.inputs[1], args.inputs[2], args.step, &mut labels);
        Cow::Owned(labels)
    }

    /// The loss of each row, by the unfused op.
    fn row_losses(&self, args: &Args<'_>, labels: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let mut row_loss = vec![0; self.metrics.rows];
        let mut d_logits = vec![0; self.metrics.rows * self.metrics.classes];
        self.loss.op().reference(&mut Args {
            inputs: vec![args.inputs[0], labels],
            outputs: vec![&mut row_loss, &mut d_logits],
            step: args.step,
        });
        (row_loss, d_logits)
    }
}

impl Op for FusedLoss {
    fn name(&self) -> &'static str {
        match self.loss {
            RowLoss::Mse(_) => "mse_metrics",
            RowLoss::CrossEntropy(_) => "cross_entropy_metrics",
        }
    }

    fn bindings(&self) -> Bindings {
        let Metrics {
            rows,
            classes,
            slots,
        } = self.metrics;
        let [labels, order] = self.labels_and_order();
        Bindings::new([
            Binding::read("logits", rows * classes),
            labels,
            order,
            Binding::write("d_logits", rows * classes),
            Binding::update("loss_sum", slots),
            Binding::update("correct", slots).of(Content::Any),
        ])
    }

    fn rows(&self) -> usize {
        let rows = self.metrics.rows;
        self.gathered.map_or(rows, |samples| rows.min(samples))
    }

    fn launch(&self) -> Launch {
        let mut constants = self.loss.op().launch().constants;
        if let RowLoss::CrossEntropy(_) = self.loss {
            constants.push(("SCALE", 1.0));
        }
        constants.push(("GATHERED", flag(self.gathered.is_some())));
        let passes = match self.loss {
            RowLoss::Mse(_) => 2,
            RowLoss::CrossEntropy(_) => 4,
        };
        let Metrics { rows, classes, .. } = self.metrics;
        let [rows, all] = [rows, rows * classes].map(|len| (len as u64).div_ceil(WORKGROUP_SIZE));
        let of_rows = rows * (1 + passes * nested_loops(&[classes])) + 1;
        Launch::of_workgroups(SHADER, 1)
            .constants(constants)
            .longest_loop(of_rows + all + 1 + u64::from(WORKGROUP_SIZE.ilog2()) + 1)
    }

    fn third_derivative(&self) -> f64 {
        self.loss.op().third_derivative()
    }

    fn cost(&self) -> Cost {
        let mut bindings = self.bindings();
        let rows = self.metrics.rows;
        (bindings.inputs[1].words, bindings.inputs[2].words) = self
            .gathered
            .map_or((rows, 0), |_| (rows.div_ceil(4), rows));
        Cost::new(
            (self.loss.op().cost().flop + self.metrics.cost().flop) as usize,
            &bindings,
        )
    }

    fn reference(&self, args: &mut Args<'_>) {
        let labels = self.labels(args);
        let (row_loss, d_logits) = self.row_losses(args, &labels);
        args.outputs[0].copy_from_slice(&d_logits);
        let [_, loss_sum, correct] = args.outputs.as_mut_slice() else {
            return;
        };
        self.metrics.reference(&mut Args {
            inputs: vec![&row_loss, args.inputs[0], &labels],
            outputs: vec![loss_sum, correct],
            step: args.step,
        });
    }

    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        let order = &|row: usize| self.label_at(args, row);
        let rows = Elements {
            inputs: vec![args.inputs[0], order],
            outputs: vec![&|_| 0; 2],
            step: args.step,
        };
        if output == 0 {
            return self.loss.op().element(&rows, 1, index);
        }
        if index != args.step.slot as usize {
            return Element::Word(args.outputs[output](index));
        }
        if output == 2 {
            let metrics = Elements {
                inputs: vec![&|_| 0, args.inputs[0], order],
                outputs: vec![&|_| 0; 2],
                step: args.step,
            };
            return self.metrics.element(&metrics, 1, index);
        }
        let (mut value, mut error, mut magnitude) = (0.0, 0.0, 0.0);
        for row in 0..args.step.rows as usize {
            if let Element::Float {
                value: loss,
                error: of_row,
            } = self.loss.op().element(&rows, 0, row)
            {
                (value, error, magnitude) = (value + loss, error + of_row, magnitude + loss.abs());
            }
        }
        let rounding = (self.metrics.rows as f64 + 3.0) * EPSILON * magnitude;
        Element::Float {
            value,
            error: error + rounding + SMALLEST_NORMAL,
        }
    }

    /// The error of the sum is that of its rows plus that of adding them.
    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        let of_rows = self.loss.op().error_bounds(args);
        let rows = self.metrics.rows as f64;
        let of_sum = match of_rows[0] {
            ErrorBound::Absolute(of_row) => {
                let (row_loss, _) = self.row_losses(args, &self.labels(args));
                let row_loss: &[f32] = bytemuck::cast_slice(&row_loss);
                let sum: f64 = row_loss.iter().map(|loss| f64::from(loss.abs())).sum();
                ErrorBound::Absolute(rows * of_row + (rows + 3.0) * EPSILON * sum)
            }
            ErrorBound::Relative(n) => ErrorBound::Relative(n + rows + 3.0),
            ref other => other.clone(),
        };
        vec![of_rows[1].clone(), of_sum, ErrorBound::Exact]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let (rows, classes, slots) = (random.size(200), random.size(11), random.size(5));
    let metrics = Metrics {
        rows,
        classes,
        slots,
    };
    let mse = Mse {
        rows,
        classes,
        scale: 2.0 / classes as f32,
    };
    let cross_entropy = CrossEntropy { rows, classes };
    let losses = [RowLoss::Mse(mse), RowLoss::CrossEntropy(cross_entropy)];
    let gathered = [None, Some(rows + random.below(30))];
    let both = losses
        .into_iter()
        .flat_map(|loss| gathered.map(|gathered| (loss.clone(), gathered)));
    both.map(|(loss, gathered)| {
        let op = FusedLoss {
            loss,
            metrics: metrics.clone(),
            gathered,
        };
        let [words, samples] = op.labels_and_order().map(|binding| binding.words);
        let mut step = random.step(rows, slots);
        step.offset = random.below(samples - step.rows as usize + 1) as u32;
        let labels = match gathered {
            Some(_) => {
                let mut four = || u32::from_le_bytes([(); 4].map(|()| random.below(classes) as u8));
                (0..words).map(|_| four()).collect()
            }
            None => random.indices(rows, classes),
        };
        let inputs = vec![
            random.floats(rows * classes),
            labels,
            random.permutation(samples),
        ];
        Case::of(op, inputs, random).in_step(step)
    })
    .collect()
}
