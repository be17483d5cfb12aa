//! A trainer's model with averaged parameters.

use super::options::OPTIMIZER;
use super::{Checkpoint, EpochReport, Metric, Split, Trainer};
use crate::error::{Error, Result};
use crate::optim::AVERAGE;
use crate::plan::Port;

/// A [`Trainer`] with the moving average of its parameters in their place: see
/// [`Trainer::averaged`]. Dropping it brings its own back, bit by bit.
#[derive(Debug)]
pub struct Averaged<'a> {
    trainer: &'a mut Trainer,
    own: Vec<f32>,
}

impl Trainer {
    /// The model with the moving average of its parameters ([`Config::averaging`]), and the running
    /// statistics of its normalisations as they are, to measure it.
    ///
    /// [`Config::averaging`]: crate::Config::averaging
    ///
    /// # Errors
    /// Nothing was averaged: the configuration does not say so, or there was no update yet; or the
    /// device was lost or reported a fault.
    pub async fn averaged(&mut self) -> Result<Averaged<'_>> {
        self.check_whole()?;
        let wrong = |got: &str| {
            let expected = "updates of a training that averages them";
            Err(Error::value("averaged parameters", expected, got))
        };
        if self.config.averaging.is_none() {
            return wrong("one without averaging");
        }
        if self.position == Default::default() {
            return wrong("no update yet");
        }
        let plan = self.executor.plan();
        let (parameters, average) = (plan.port(Port::Parameters)?, plan.find(AVERAGE)?);
        let own = self.executor.read(parameters).await?;
        let average = self.executor.read(average).await?;
        self.executor.write(parameters, &average)?;
        Ok(Averaged { trainer: self, own })
    }
}

impl Averaged<'_> {
    /// As [`Trainer::evaluate`].
    ///
    /// # Errors
    /// The same.
    pub async fn evaluate(&mut self, split: Split) -> Result<EpochReport> {
        self.trainer.evaluate(split).await
    }

    /// As [`Trainer::classes`].
    ///
    /// # Errors
    /// The same.
    pub async fn classes(&mut self, split: Split) -> Result<Vec<usize>> {
        self.trainer.classes(split).await
    }

    /// As [`Trainer::measure`].
    ///
    /// # Errors
    /// The same.
    pub async fn measure(&mut self, split: Split, metrics: &mut [&mut dyn Metric]) -> Result<()> {
        self.trainer.measure(split, metrics).await
    }
}

impl Drop for Averaged<'_> {
    fn drop(&mut self) {
        let executor = &mut self.trainer.executor;
        // What fails here has lost the device, which every later call says.
        if let Ok(parameters) = executor.plan().port(Port::Parameters) {
            let _ = executor.write(parameters, &self.own);
        }
    }
}

impl Checkpoint {
    /// This checkpoint with the moving average of the parameters in their place, for
    /// [`Predictor::from_checkpoint`](crate::Predictor::from_checkpoint) or
    /// [`Trainer::load_parameters`]; running statistics stay as they are.
    ///
    /// # Errors
    /// It is not of a training with [`Config::averaging`](crate::Config::averaging).
    pub fn averaged(&self) -> Result<Checkpoint> {
        let mut averaged = self.clone();
        let prefix = format!("{OPTIMIZER}{AVERAGE}.");
        let mut is_averaged = false;
        for (name, tensor) in &self.tensors {
            if let Some(parameter) = name.strip_prefix(&prefix) {
                averaged
                    .tensors
                    .insert(parameter.to_owned(), tensor.clone());
                is_averaged = true;
            }
        }
        match is_averaged {
            true => Ok(averaged),
            false => Err(Error::value(
                "checkpoint's averaged parameters",
                "those of a training that averages",
                "none",
            )),
        }
    }
}
