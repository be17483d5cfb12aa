//! The training for which a model is recorded.

use super::Graph;
use crate::augment::Augmentation;
use crate::error::{Error, Result};
use crate::loss::Loss;
use crate::optim::{Clipping, Optimizer};
use crate::plan::Element;
use crate::shape::Shape;
use crate::target::{Array, Target};

/// The training for which a model is recorded: the options of a [`Session`](crate::Session). A
/// [`Trainer`](crate::Trainer), which runs whole epochs, makes its own from a
/// [`Config`](crate::Config).
///
/// ```
/// use wgrad::graph::Training;
/// use wgrad::{Loss, Sgd};
///
/// let training = Training::new([1, 28, 28], Loss::CrossEntropy, Sgd::new(0.05)).batch_size(64);
/// assert!(training.accumulate);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Training {
    /// The shape of one sample, without the batch: (C, H, W) or (F).
    pub sample: Shape,
    /// N: rows per batch.
    pub batch_size: usize,
    /// The loss to minimise.
    pub loss: Loss,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The limits of the gradients.
    pub clipping: Clipping,
    /// The decay of the moving average of the parameters, if there is one.
    pub averaging: Option<f32>,
    /// What the model is trained to give; `None` for a class of each sample, of as many as the output
    /// has columns.
    pub target: Option<Target>,
    /// Number of samples in the data set from which batches are gathered; if `None`, the host writes
    /// `images` and `labels`.
    pub dataset: Option<usize>,
    /// The elements of the samples in that data set.
    pub stored: Element,
    /// The random changes of images gathered from it.
    pub augmentation: Augmentation,
    /// Whether backward adds to the gradients (and `ZeroGrad` clears them), as in PyTorch, or
    /// overwrites them, which saves that dispatch.
    pub accumulate: bool,
}

impl Training {
    /// Batches of 32 samples of that shape, written by the host; backward adds to the gradients.
    pub fn new(
        sample: impl Into<Shape>,
        loss: impl Into<Loss>,
        optimizer: impl Into<Optimizer>,
    ) -> Self {
        Training {
            sample: sample.into(),
            batch_size: 32,
            loss: loss.into(),
            optimizer: optimizer.into(),
            clipping: Clipping::new(),
            averaging: None,
            target: None,
            dataset: None,
            stored: Element::U8,
            augmentation: Augmentation::new(),
            accumulate: true,
        }
    }

    /// Sets the rows per batch.
    #[must_use]
    pub fn batch_size(self, batch_size: usize) -> Self {
        Training { batch_size, ..self }
    }

    /// Sets the limits of the gradients.
    #[must_use]
    pub fn clipping(self, clipping: Clipping) -> Self {
        Training { clipping, ..self }
    }

    /// Averages the parameters after each update, in the tensor `average`: decay·average +
    /// (1 − decay)·p, and p after the first.
    #[must_use]
    pub fn averaging(self, decay: impl Into<Option<f32>>) -> Self {
        Training {
            averaging: decay.into(),
            ..self
        }
    }

    /// Gathers batches from a data set of so many samples.
    #[must_use]
    pub fn dataset(self, samples: impl Into<Option<usize>>) -> Self {
        Training {
            dataset: samples.into(),
            ..self
        }
    }

    /// Sets what the model is trained to give.
    #[must_use]
    pub fn target(self, target: Target) -> Self {
        Training {
            target: Some(target),
            ..self
        }
    }

    /// Sets the elements of the samples in the data set.
    #[must_use]
    pub fn stored(self, stored: Element) -> Self {
        Training { stored, ..self }
    }

    /// Sets the random changes of images gathered from the data set.
    #[must_use]
    pub fn augmentation(self, augmentation: Augmentation) -> Self {
        Training {
            augmentation,
            ..self
        }
    }

    /// Whether backward adds to the gradients or overwrites them.
    #[must_use]
    pub fn accumulate(self, accumulate: bool) -> Self {
        Training { accumulate, ..self }
    }
}

impl Graph {
    /// Checks that the model can be trained so.
    ///
    /// # Errors
    /// The output does not fit the loss and its targets, or an option is out of range.
    pub(super) fn check_training(&self, training: &Training) -> Result<()> {
        let wrong = |expected: String, got: &Shape| {
            Err(Error::Shape {
                at: format!("loss: {}", training.loss),
                expected,
                got: got.to_string(),
            })
        };
        let [input, output] = [self.images(), self.logits()].map(|id| &self.value(id).shape);
        if training.target.is_none() && output.dims().len() != 2 {
            let expected = "logits (N, classes), or a target of another kind";
            return wrong(expected.to_owned(), output);
        }
        self.check_augmentation(training)?;
        if training.stored == Element::U32 {
            let what = "samples of the data set";
            return Err(Error::value(what, "bytes or floats", "integers"));
        }
        let target = self.batch_target();
        training.loss.check(output, &target)?;
        match target == Target::Input && input != output {
            true => wrong(format!("an output of the input's shape, {input}"), output),
            false => Ok(()),
        }
    }

    /// # Errors
    /// The images cannot be changed as the training wants, or what they stand for would change too.
    fn check_augmentation(&self, training: &Training) -> Result<()> {
        if training.augmentation == Augmentation::new() {
            return Ok(());
        }
        training.augmentation.changes(&training.sample)?;
        let got = match (self.target(), training.stored) {
            (_, Element::F32 | Element::U32) => "floats".to_owned(),
            (Target::Classes(array, _), _) if array.shape.dims().is_empty() => return Ok(()),
            (Target::Input, _) if training.augmentation.mixing().is_none() => return Ok(()),
            (target, _) => target.to_string(),
        };
        let expected = "byte images with a class each, or that are their own targets";
        Err(Error::value("augmentation", expected, got))
    }

    /// What the model is trained to give.
    pub(crate) fn target(&self) -> Target {
        let target = self.purpose().and_then(|training| training.target.clone());
        target.unwrap_or_else(|| Target::class(self.value(self.logits()).shape.dims()[1]))
    }

    /// What the loss compares the output with: classes that are mixed are probabilities.
    pub(crate) fn batch_target(&self) -> Target {
        let mixes = |training: &Training| training.augmentation.mixing().is_some();
        match self.target() {
            Target::Classes(array, classes)
                if self.purpose().is_some_and(mixes) && array.shape.dims().is_empty() =>
            {
                Target::Numbers(Array::new([classes], Element::F32))
            }
            target => target,
        }
    }

    /// The number of samples in the data set, if kernels may read its bytes and classes in place of
    /// a batch's.
    pub(crate) fn readable_dataset(&self) -> Option<usize> {
        let training = self.purpose()?;
        let target = self.target();
        let are_bytes = training.stored == Element::U8
            && training.augmentation == Augmentation::new()
            && target.array().map(Array::bytes) == Some(1)
            && training
                .loss
                .is_of_rows(&self.value(self.logits()).shape, &target);
        training.dataset.filter(|_| are_bytes)
    }
}
