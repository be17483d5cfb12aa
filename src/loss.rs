//! Losses and their reductions.

use std::fmt;

use crate::error::Result;
use crate::ops::{CrossEntropy, FusedLoss, Metrics, Mse, RowLoss};
use crate::plan::{Builder, Element, Phase, Port, Role, STEPS_PER_RUN, TensorId};
use crate::shape::Shape;

/// The reduction of a batch's squared errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// The mean over all N·C elements; gradient `2(p − t)/(N·C)`. PyTorch's default.
    Mean,
    /// The sum over classes, the mean over the batch; gradient `2(p − t)/N`. The tutorial's update.
    BatchMean,
}

/// A loss against class labels, given as indices: one-hot targets are never materialised.
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
    /// The loss of `rows` rows of `classes` classes, from the sum of the kernel's row losses.
    pub fn of_sum(self, sum: f64, rows: u64, classes: usize) -> f64 {
        let count = match self {
            Loss::Mse(Reduction::Mean) => rows as f64 * classes as f64,
            Loss::Mse(Reduction::BatchMean) | Loss::CrossEntropy => rows as f64,
        };
        sum / count
    }

    /// The loss as reported: for MSE the mean over all elements, whatever the reduction of
    /// training.
    pub fn reported(self) -> Loss {
        match self {
            Loss::Mse(_) => Loss::Mse(Reduction::Mean),
            Loss::CrossEntropy => Loss::CrossEntropy,
        }
    }

    /// The ops for the loss of each row of the logits, and for the metrics.
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

    /// Appends the loss and the metrics of logits (N, classes) to the loss phase; returns
    /// `d_logits`.
    ///
    /// # Errors
    /// A size exceeds the kernels' indices.
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

    /// Like [`Loss::lower`], by one op. If `gathered` is set, to the number of samples in the data
    /// set, it reads the labels directly from there, in the step's order.
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
        // Without gathering, the labels are bound in place of the order.
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

/// Creates the tables that the host reads: sums of losses, and numbers of correct predictions.
fn make_tables(plan: &mut Builder) -> Result<[TensorId; 2]> {
    plan.set_scope("metrics");
    let slots = STEPS_PER_RUN;
    let loss_sum = plan.tensor("loss_sum", [slots], Element::F32, Role::Metric)?;
    let correct = plan.tensor("correct", [slots], Element::U32, Role::Metric)?;
    plan.set_port(Port::LossSum, loss_sum);
    plan.set_port(Port::Correct, correct);
    Ok([loss_sum, correct])
}
