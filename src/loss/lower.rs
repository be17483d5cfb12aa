//! Lowers a loss, its gradient and the metrics to ops.

use super::{CrossEntropy, Loss, Reduction, pixels};
use crate::error::{Error, Result};
use crate::ops::{
    self, Difference, ElementFunction, ElementLoss, FusedLoss, Metrics, Mse, RowLoss,
    SoftCrossEntropy, SumTable,
};
use crate::plan::{Builder, Element, Phase, Port, Role, STEPS_PER_RUN, TensorId};
use crate::shape::Shape;
use crate::target::Target;

/// The op that computes a loss.
enum Form {
    /// Against the class of each row.
    Row(RowLoss),
    /// Against classes or probabilities, with these class weights.
    Soft(SoftCrossEntropy, Vec<f32>),
    /// Against numbers.
    Elements(ElementLoss),
}

impl Loss {
    /// The op of the loss of `output` against targets of that kind.
    ///
    /// # Errors
    /// The loss has no such targets, the target's shape does not fit the output, or an option is
    /// out of range.
    fn form(&self, output: &Shape, target: &Target) -> Result<Form> {
        let wrong = |expected: &str| {
            Err(Error::Shape {
                at: format!("target of the loss {self}, output {output}"),
                expected: expected.to_owned(),
                got: target.to_string(),
            })
        };
        let (&[rows, ref own @ ..], area) = (output.dims(), pixels(output)) else {
            return wrong("an output (N, …)");
        };
        match target {
            Target::Classes(array, classes) => {
                let fits = own.split_first().is_some_and(|(&columns, rest)| {
                    columns == *classes && array.shape.dims() == rest
                });
                if !fits && array.shape.dims().is_empty() {
                    return Err(Error::Shape {
                        at: "logits".to_owned(),
                        expected: format!("({rows}, {classes}), a column for each class"),
                        got: output.to_string(),
                    });
                }
                if !fits || array.element == Element::F32 {
                    return wrong("classes of as many columns as the output has, for each pixel");
                }
            }
            Target::Numbers(array) if array.shape.dims() != own => {
                return wrong("an array of the output's shape");
            }
            Target::Numbers(array) if array.element == Element::U32 => {
                return wrong("floats or bytes");
            }
            Target::Numbers(_) | Target::Input => {}
        }
        let is_class = matches!(target, Target::Classes(..));
        let len = own.iter().product();
        let scale = 1.0 / self.terms(output) as f32;
        let elements = |function| {
            Form::Elements(ElementLoss {
                rows,
                len,
                function,
                scale,
            })
        };
        let difference = |difference| elements(ElementFunction::Difference(difference));
        Ok(match *self {
            Loss::Mse(reduction) if is_class && own.len() == 1 => Form::Row(RowLoss::Mse(Mse {
                rows,
                classes: len,
                scale: match reduction {
                    Reduction::Mean => 2.0 / len as f32,
                    Reduction::BatchMean => 2.0,
                },
            })),
            Loss::CrossEntropy if is_class && own.len() == 1 => {
                Form::Row(RowLoss::CrossEntropy(ops::CrossEntropy {
                    rows,
                    classes: len,
                }))
            }
            Loss::CrossEntropy | Loss::CrossEntropyWith(_) => {
                if own.is_empty() || *target == Target::Input {
                    return wrong("classes or probabilities");
                }
                let options = match self {
                    Loss::CrossEntropyWith(options) => options.clone(),
                    _ => CrossEntropy::default(),
                };
                let classes = own[0];
                options.check(classes)?;
                let op = SoftCrossEntropy {
                    rows,
                    classes,
                    area,
                    hard: is_class,
                    smoothing: options.smoothing,
                    scale,
                };
                Form::Soft(op, options.weights.unwrap_or_else(|| vec![1.0; classes]))
            }
            _ if is_class => return wrong("numbers"),
            Loss::Mse(_) => difference(Difference::Square),
            Loss::L1(_) => difference(Difference::Absolute),
            Loss::Huber(delta, _) => {
                if !(delta.is_finite() && delta > 0.0) {
                    return Err(Error::value("Huber's delta", "a number above 0", delta));
                }
                difference(Difference::Huber(delta))
            }
            Loss::BinaryCrossEntropy(_) if *target == Target::Input => {
                return wrong("numbers from 0 to 1 of their own");
            }
            Loss::BinaryCrossEntropy(_) => elements(ElementFunction::BinaryCrossEntropy),
        })
    }

    /// Whether the loss of a class of each row is computed by kernels that can read the data set.
    pub(crate) fn is_of_rows(&self, output: &Shape, target: &Target) -> bool {
        matches!(self.form(output, target), Ok(Form::Row(_)))
    }

    /// Whether right predictions are counted.
    pub(crate) fn counts(&self, output: &Shape, target: &Target) -> bool {
        match self.form(output, target) {
            Ok(Form::Row(_) | Form::Soft(..)) => true,
            Ok(Form::Elements(op)) => op.function == ElementFunction::BinaryCrossEntropy,
            Err(_) => false,
        }
    }

    /// Checks that the loss of `output` can have those targets.
    ///
    /// # Errors
    /// It cannot, or an option is out of range.
    pub(crate) fn check(&self, output: &Shape, target: &Target) -> Result<()> {
        self.form(output, target).map(drop)
    }

    /// Appends the loss of `output` against `targets`, and the metrics, to the loss phase; returns
    /// the gradient of the output.
    ///
    /// # Errors
    /// As [`Loss::check`]; or a size exceeds the kernels' indices.
    pub(crate) fn lower(
        &self,
        plan: &mut Builder,
        output: TensorId,
        targets: TensorId,
        target: &Target,
    ) -> Result<TensorId> {
        let shape = plan.get(output).shape.clone();
        let form = self.form(&shape, target)?;
        plan.set_scope("loss");
        let inputs = [output, targets];
        match form {
            Form::Row(loss) => {
                let metrics = metrics(&shape);
                let row_loss = plan.scratch("row_loss", [metrics.rows])?;
                let d_logits = plan.scratch("d_logits", shape)?;
                let outputs = [row_loss, d_logits];
                match loss {
                    RowLoss::Mse(op) => plan.op(Phase::Loss, op, &inputs, &outputs)?,
                    RowLoss::CrossEntropy(op) => plan.op(Phase::Loss, op, &inputs, &outputs)?,
                }
                let tables = [loss_table(plan)?, count_table(plan)?];
                let inputs = [row_loss, output, targets];
                plan.op(Phase::Loss, metrics, &inputs, &tables)?;
                Ok(d_logits)
            }
            Form::Soft(op, weights) => {
                let weights = plan.constant("class_weights", weights)?;
                let (rows, len) = (op.rows, op.area);
                let losses = plan.scratch("losses", [rows, len])?;
                let correct = count_tensor(plan, [rows, len])?;
                let d_logits = plan.scratch("d_logits", shape)?;
                let outputs = [losses, correct, d_logits];
                plan.op(Phase::Loss, op, &[output, targets, weights], &outputs)?;
                sum(plan, losses, false)?;
                sum(plan, correct, true)?;
                Ok(d_logits)
            }
            Form::Elements(op) => {
                let (rows, len) = (op.rows, op.runs());
                let losses = plan.scratch("losses", [rows, len])?;
                let mut outputs = vec![losses];
                if op.function == ElementFunction::BinaryCrossEntropy {
                    outputs.push(count_tensor(plan, [rows, len])?);
                }
                let d_output = plan.scratch("d_output", shape)?;
                outputs.push(d_output);
                plan.op(Phase::Loss, op, &inputs, &outputs)?;
                sum(plan, losses, false)?;
                if let [_, correct, _] = outputs[..] {
                    sum(plan, correct, true)?;
                }
                Ok(d_output)
            }
        }
    }

    /// Like [`Loss::lower`], against the class of each row by one op. If `gathered` is set, to the
    /// number of samples in the data set, it reads the labels directly from there, in the step's
    /// order.
    ///
    /// # Errors
    /// As [`Loss::lower`].
    pub(crate) fn lower_fast(
        &self,
        plan: &mut Builder,
        logits: TensorId,
        labels: TensorId,
        target: &Target,
        gathered: Option<usize>,
    ) -> Result<TensorId> {
        let shape = plan.get(logits).shape.clone();
        let Form::Row(loss) = self.form(&shape, target)? else {
            return self.lower(plan, logits, labels, target);
        };
        plan.set_scope("loss");
        let metrics = metrics(&shape);
        let d_logits = plan.scratch("d_logits", shape)?;
        let [loss_sum, correct] = [loss_table(plan)?, count_table(plan)?];
        // Without gathering, the labels are bound in place of the order.
        let inputs = match gathered {
            None => [logits, labels, labels],
            Some(_) => [
                logits,
                plan.port(Port::DatasetTargets)?,
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

/// The metrics of logits (N, C).
fn metrics(logits: &Shape) -> Metrics {
    Metrics {
        rows: logits.dims()[0],
        classes: logits.dims()[1],
        slots: STEPS_PER_RUN,
    }
}

/// Creates a tensor of counts.
fn count_tensor(plan: &mut Builder, shape: [usize; 2]) -> Result<TensorId> {
    plan.tensor("correct", shape, Element::U32, Role::Scratch)
}

/// Appends the sum of `values`, (N, …), to a table that the host reads.
fn sum(plan: &mut Builder, values: TensorId, counts: bool) -> Result<()> {
    let dims = plan.get(values).shape.dims();
    let op = SumTable {
        rows: dims[0],
        row_len: dims[1],
        slots: STEPS_PER_RUN,
        counts,
    };
    let table = match counts {
        true => count_table(plan)?,
        false => loss_table(plan)?,
    };
    plan.op(Phase::Loss, op, &[values], &[table])
}

/// Creates the table of sums of losses.
fn loss_table(plan: &mut Builder) -> Result<TensorId> {
    plan.set_scope("metrics");
    let table = plan.tensor("loss_sum", [STEPS_PER_RUN], Element::F32, Role::Metric)?;
    plan.set_port(Port::LossSum, table);
    Ok(table)
}

/// Creates the table of numbers of correct predictions.
fn count_table(plan: &mut Builder) -> Result<TensorId> {
    plan.set_scope("metrics");
    let table = plan.tensor("correct", [STEPS_PER_RUN], Element::U32, Role::Metric)?;
    plan.set_port(Port::Correct, table);
    Ok(table)
}
