//! A trainer's model on whole splits of its data set, as inference computes it.

use std::ops::ControlFlow;

use super::trainer::{EpochReport, Progress, Split, Trainer};
use crate::error::Result;
use crate::ops::{Step, first_largest};
use crate::plan::{Phase, Port};

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

    /// The class of each sample of a split by the parameters as they are, in the order of the data
    /// set. [`ConfusionMatrix::of`](super::ConfusionMatrix::of) makes a table of it.
    ///
    /// # Errors
    /// As [`Trainer::evaluate`].
    pub async fn classes(&mut self, split: Split) -> Result<Vec<usize>> {
        self.check_whole()?;
        let (first, len) = self.feed.range(split)?;
        let logits = self.plan().port(Port::Logits)?;
        // The training samples may be shuffled; each epoch writes its own order.
        self.set_order(None)?;
        let mut classes = Vec::with_capacity(len);
        for at in (0..len).step_by(self.config.batch_size) {
            let rows = self.config.batch_size.min(len - at);
            let mut steps = [Step::new((first + at) as u32, rows as u32, 0, 0.0)];
            self.feed.prepare(&mut self.executor, &mut steps)?;
            let phases = [Phase::Gather, Phase::Infer];
            self.executor.begin(&phases, &steps).await?;
            let logits = self.executor.read(logits).await?;
            let rows = logits.chunks(self.classes).take(rows);
            classes.extend(rows.map(|row| first_largest(row) as usize));
        }
        Ok(classes)
    }
}
