//! Losses: what is minimised, and how it is averaged.

use std::fmt;

use crate::error::{Error, Result};
use crate::ops::{CrossEntropy, Metrics, Mse};
use crate::plan::{Builder, Element, MetricTables, Phase, Role, STEPS_PER_RUN, TensorId};

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

    /// Appends the loss and the metrics to the loss phase; returns `d_logits`.
    ///
    /// # Errors
    /// Logits that are not (N, classes).
    pub(crate) fn lower(
        self,
        plan: &mut Builder,
        logits: TensorId,
        labels: TensorId,
    ) -> Result<TensorId> {
        let shape = plan.get(logits).shape.clone();
        let &[rows, classes] = shape.dims() else {
            return Err(Error::Shape {
                at: format!("loss: {self}"),
                expected: "logits (N, classes)".to_owned(),
                got: shape.to_string(),
            });
        };
        plan.set_scope("loss");
        let row_loss = plan.scratch("row_loss", [rows])?;
        let d_logits = plan.scratch("d_logits", [rows, classes])?;
        let (inputs, outputs) = ([logits, labels], [row_loss, d_logits]);
        match self {
            Loss::Mse(reduction) => {
                let scale = match reduction {
                    Reduction::Mean => 2.0 / classes as f32,
                    Reduction::BatchMean => 2.0,
                };
                let mse = Mse {
                    rows,
                    classes,
                    scale,
                };
                plan.op(Phase::Loss, mse, &inputs, &outputs)?;
            }
            Loss::CrossEntropy => {
                plan.op(
                    Phase::Loss,
                    CrossEntropy { rows, classes },
                    &inputs,
                    &outputs,
                )?;
            }
        }

        plan.set_scope("metrics");
        let slots = STEPS_PER_RUN;
        let loss_sum = plan.tensor("loss_sum", [slots], Element::F32, Role::Metric)?;
        let correct = plan.tensor("correct", [slots], Element::U32, Role::Metric)?;
        let metrics = Metrics {
            rows,
            classes,
            slots,
        };
        plan.op(
            Phase::Loss,
            metrics,
            &[row_loss, logits, labels],
            &[loss_sum, correct],
        )?;
        plan.set_metrics(MetricTables { loss_sum, correct });
        Ok(d_logits)
    }
}
