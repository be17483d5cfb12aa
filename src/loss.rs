//! Losses: what is minimised, and how it is averaged.

use std::fmt;

use crate::error::Result;
use crate::ops::{CrossEntropy, FusedLoss, Metrics, Mse, RowLoss};
use crate::plan::{Builder, Element, MetricTables, Phase, Port, Role, STEPS_PER_RUN, TensorId};
use crate::shape::Shape;

/// How the squared errors of a batch become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// The mean over all N·C elements; gradient `2(p − t)/(N·C)`. PyTorch's default.
    Mean,
    /// The sum over classes, the mean over the batch; gradient `2(p − t)/N`. The tutorial's update.
    BatchMean,
}

/// A loss of class labels, which are indices: one-hot targets are never materialised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Mean squared error of the logits against the one-hot target.
    Mse(Reduction),
    /// `−log softmax(logits)[label]`, the mean over the batch.
    CrossEntropy,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Loss::Mse(Reduction::Mean) => "MSE (mean over batch and classes)",
            Loss::Mse(Reduction::BatchMean) => "MSE (sum over classes, mean over the batch)",
            Loss::CrossEntropy => "softmax cross-entropy (mean over the batch)",
        })
    }
}

impl Loss {
    /// The loss of `rows` rows of `classes` classes, from the sum of what its kernel says of each.
    pub fn of_sum(self, sum: f64, rows: u64, classes: usize) -> f64 {
        let count = match self {
            Loss::Mse(Reduction::Mean) => rows as f64 * classes as f64,
            Loss::Mse(Reduction::BatchMean) | Loss::CrossEntropy => rows as f64,
        };
        sum / count
    }

    /// The loss as a report prints it: for MSE the mean over all elements, whatever the reduction
    /// that trains.
    pub fn reported(self) -> Loss {
        match self {
            Loss::Mse(_) => Loss::Mse(Reduction::Mean),
            Loss::CrossEntropy => Loss::CrossEntropy,
        }
    }

    /// What the loss computes of each row of the logits, and its metrics.
    fn ops(self, logits: &Shape) -> (RowLoss, Metrics) {
        let (rows, classes) = (logits.dims()[0], logits.dims()[1]);
        let loss = match self {
            Loss::Mse(reduction) => RowLoss::Mse(Mse {
                rows,
                classes,
                scale: match reduction {
                    Reduction::Mean => 2.0 / classes as f32,
                    Reduction::BatchMean => 2.0,
                },
            }),
            Loss::CrossEntropy => RowLoss::CrossEntropy(CrossEntropy { rows, classes }),
        };
        let metrics = Metrics {
            rows,
            classes,
            slots: STEPS_PER_RUN,
        };
        (loss, metrics)
    }

    /// Appends the loss and the metrics of logits (N, classes) to the loss phase; returns `d_logits`.
    ///
    /// # Errors
    /// Sizes that kernels cannot address.
    pub(crate) fn lower(
        self,
        plan: &mut Builder,
        logits: TensorId,
        labels: TensorId,
    ) -> Result<TensorId> {
        let shape = plan.get(logits).shape.clone();
        let (loss, metrics) = self.ops(&shape);
        plan.set_scope("loss");
        let row_loss = plan.scratch("row_loss", [metrics.rows])?;
        let d_logits = plan.scratch("d_logits", shape)?;
        let (inputs, outputs) = ([logits, labels], [row_loss, d_logits]);
        match loss {
            RowLoss::Mse(op) => plan.op(Phase::Loss, op, &inputs, &outputs)?,
            RowLoss::CrossEntropy(op) => plan.op(Phase::Loss, op, &inputs, &outputs)?,
        }
        let tables = make_tables(plan)?;
        plan.op(Phase::Loss, metrics, &[row_loss, logits, labels], &tables)?;
        Ok(d_logits)
    }

    /// The same by one op; where `gathered` says how many samples the data set has, it reads the labels there, in
    /// the step's order.
    ///
    /// # Errors
    /// As [`Loss::lower`].
    pub(crate) fn lower_fast(
        self,
        plan: &mut Builder,
        logits: TensorId,
        labels: TensorId,
        gathered: Option<usize>,
    ) -> Result<TensorId> {
        let shape = plan.get(logits).shape.clone();
        let (loss, metrics) = self.ops(&shape);
        plan.set_scope("loss");
        let d_logits = plan.scratch("d_logits", shape)?;
        let [loss_sum, correct] = make_tables(plan)?;
        // The labels stand for the order where it is not read.
        let inputs = match gathered {
            None => [logits, labels, labels],
            Some(_) => [
                logits,
                plan.port(Port::DatasetLabels)?,
                plan.port(Port::Order)?,
            ],
        };
        let op = FusedLoss {
            loss,
            metrics,
            gathered,
        };
        plan.op(Phase::Loss, op, &inputs, &[d_logits, loss_sum, correct])?;
        Ok(d_logits)
    }
}

/// The tables that hosts read: of the losses' sums, of the counts of right answers.
fn make_tables(plan: &mut Builder) -> Result<[TensorId; 2]> {
    plan.set_scope("metrics");
    let slots = STEPS_PER_RUN;
    let loss_sum = plan.tensor("loss_sum", [slots], Element::F32, Role::Metric)?;
    let correct = plan.tensor("correct", [slots], Element::U32, Role::Metric)?;
    plan.set_metrics(MetricTables { loss_sum, correct });
    Ok([loss_sum, correct])
}
