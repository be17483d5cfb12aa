//! A trainer's model on whole splits of its data set, as inference computes it.

use std::ops::ControlFlow;

use super::metrics::{Metric, Targets, predictions};
use super::trainer::{EpochReport, Progress, Split, Trainer};
use crate::error::{Error, Result};
use crate::ops::Step;
use crate::plan::{Element, Phase, Port};
use crate::target::Target;

impl Trainer {
    /// Loss and accuracy over a whole split, with the parameters as they are.
    ///
    /// # Errors
    /// A split without samples; a device that is lost or reports a fault.
    pub async fn evaluate(&mut self, split: Split) -> Result<EpochReport> {
        self.check_whole()?;
        let go_on = |_: &Progress| ControlFlow::Continue(());
        let (report, _) = self.run(&Phase::EVALUATE, split, 0, go_on).await?;
        Ok(report)
    }

    /// The class of each sample of a split, or of each of its pixels, by the parameters as they are,
    /// in the order of the data set. [`ConfusionMatrix::of`](super::ConfusionMatrix::of) makes a
    /// table of it.
    ///
    /// # Errors
    /// As [`Trainer::evaluate`]; or the targets are not classes.
    pub async fn classes(&mut self, split: Split) -> Result<Vec<usize>> {
        let target = self.graph.target();
        let Target::Classes(_, count) = target else {
            return Err(Error::value(
                "classes",
                "targets that are classes",
                target.to_string(),
            ));
        };
        let (output, mut classes) = (self.output.clone(), Vec::new());
        let add = |outputs: &[f32], _: &Targets| {
            classes.extend(predictions(outputs, &output, count));
            Ok(())
        };
        self.each_batch(split, add).await?;
        Ok(classes)
    }

    /// Measures a split with the parameters as they are, by metrics that are computed on the host.
    ///
    /// # Errors
    /// As [`Trainer::evaluate`]; or a metric is not of such targets.
    pub async fn measure(&mut self, split: Split, metrics: &mut [&mut dyn Metric]) -> Result<()> {
        let output = self.output.clone();
        let add = |outputs: &[f32], targets: &Targets| {
            let mut metrics = metrics.iter_mut();
            metrics.try_for_each(|metric| metric.add(outputs, &output, targets))
        };
        self.each_batch(split, add).await
    }

    /// Calls `on_batch` with the outputs and the targets of each batch of a split, in the order of
    /// the data set.
    async fn each_batch(
        &mut self,
        split: Split,
        mut on_batch: impl FnMut(&[f32], &Targets) -> Result<()>,
    ) -> Result<()> {
        self.check_whole()?;
        let (first, len) = self.feed.range(split)?;
        let logits = self.plan().port(Port::Logits)?;
        // The training samples may be shuffled; each epoch writes its own order.
        self.set_order(None)?;
        let row_len = self.output.elements() / self.output.dims()[0];
        let mut stored = None;
        for at in (0..len).step_by(self.config.batch_size) {
            let rows = self.config.batch_size.min(len - at);
            let mut steps = [Step::new((first + at) as u32, rows as u32, 0, 0.0)];
            self.feed.prepare(&mut self.executor, &mut steps)?;
            let phases = [Phase::Gather, Phase::Infer];
            self.executor.begin(&phases, &steps).await?;
            let outputs = self.executor.read(logits).await?;
            if stored.is_none() || self.feed.is_streamed() {
                stored = Some(self.stored_targets().await?);
            }
            let targets = match &stored {
                Some(Some(words)) => self.decode(words, steps[0].offset as usize, rows),
                _ => {
                    let images = self.executor.read(self.plan().port(Port::Images)?).await?;
                    let len = images.len() / self.output.dims()[0];
                    Targets::Numbers(images[..rows * len].to_vec())
                }
            };
            on_batch(&outputs[..rows * row_len], &targets)?;
        }
        Ok(())
    }

    /// The words of the targets that the device holds; `None` if they are the inputs.
    async fn stored_targets(&self) -> Result<Option<Vec<u32>>> {
        match self.plan().port(Port::DatasetTargets) {
            Ok(labels) => Ok(Some(self.executor.read_words(labels).await?)),
            Err(_) => Ok(None),
        }
    }

    /// The targets of `rows` samples from `first` on.
    fn decode(&self, words: &[u32], first: usize, rows: usize) -> Targets {
        let target = self.graph.target();
        let Some(array) = target.array() else {
            return Targets::Numbers(Vec::new());
        };
        let len = array.shape.elements();
        let range = first * len..(first + rows) * len;
        let is_class = matches!(target, Target::Classes(..));
        match array.element {
            Element::U8 => {
                let bytes = &bytemuck::cast_slice::<u32, u8>(words)[range];
                match is_class {
                    true => Targets::Classes(bytes.iter().map(|&byte| byte.into()).collect()),
                    false => Targets::Numbers(
                        bytes
                            .iter()
                            .map(|&byte| f32::from(byte) * (1.0 / 255.0))
                            .collect(),
                    ),
                }
            }
            Element::U32 => Targets::Classes(words[range].to_vec()),
            Element::F32 => Targets::Numbers(bytemuck::cast_slice(&words[range]).to_vec()),
        }
    }
}
