//! Losses and their reductions.

mod lower;

use std::fmt;

use crate::error::{Error, Result};
use crate::shape::Shape;

/// The reduction of a batch's losses of single elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// The mean over all elements. PyTorch's default.
    Mean,
    /// The sum over the elements of a sample, the mean over the batch: the tutorial's update.
    BatchMean,
}

/// A loss. Its targets are classes, numbers of the shape of the model's output, or the input itself
/// ([`Target`](crate::data::Target)).
#[derive(Debug, Clone, PartialEq)]
pub enum Loss {
    /// Mean squared error against numbers; or against classes as one-hot vectors, which are never
    /// materialised.
    Mse(Reduction),
    /// Mean absolute error against numbers.
    L1(Reduction),
    /// Against numbers, with a difference of e: e²/2 up to |e| = δ, δ·(|e| − δ/2) beyond (Huber,
    /// 1964); PyTorch's `HuberLoss`.
    Huber(f32, Reduction),
    /// Binary cross-entropy of logits against numbers from 0 to 1: several labels for each sample.
    BinaryCrossEntropy(Reduction),
    /// `−log softmax(logits)[label]`, the mean over the batch and, for output (N, C, H, W), over the
    /// pixels. Or against probabilities, numbers of the output's shape: `−Σ t·log softmax(logits)`.
    CrossEntropy,
    /// Cross-entropy with options.
    CrossEntropyWith(CrossEntropy),
}

/// Options of the cross-entropy.
///
/// ```
/// use wgrad::{CrossEntropy, Loss};
/// let loss: Loss = CrossEntropy::new().label_smoothing(0.1).class_weights([1.0, 2.5]).into();
/// assert_eq!(
///     loss.to_string(),
///     "softmax cross-entropy (mean over the batch), label smoothing 0.1, class weights [1.0, 2.5]"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CrossEntropy {
    smoothing: f32,
    weights: Option<Vec<f32>>,
}

impl CrossEntropy {
    /// Without options.
    pub fn new() -> Self {
        CrossEntropy::default()
    }

    /// Sets the share of the target, 0 to 1, that is spread evenly over all classes (Szegedy et al.,
    /// 2016, arXiv:1512.00567).
    #[must_use]
    pub fn label_smoothing(self, smoothing: f32) -> Self {
        CrossEntropy { smoothing, ..self }
    }

    /// Sets a factor for each class: the loss is `−Σ w·t·log softmax(logits)`. The mean stays that
    /// over the samples, as Keras has it: PyTorch divides by the sum of the weights of a batch's
    /// targets instead, so that what a sample counts depends on the others in its batch.
    #[must_use]
    pub fn class_weights(self, weights: impl Into<Vec<f32>>) -> Self {
        let weights = Some(weights.into());
        CrossEntropy { weights, ..self }
    }

    /// # Errors
    /// The smoothing is not from 0 to 1, or there is not a finite weight of at least 0 for each
    /// class.
    fn check(&self, classes: usize) -> Result<()> {
        if !(0.0..=1.0).contains(&self.smoothing) {
            return Err(Error::value("label smoothing", "0 to 1", self.smoothing));
        }
        let Some(weights) = &self.weights else {
            return Ok(());
        };
        if weights.len() != classes {
            let expected = format!("{classes}, one for each class");
            return Err(Error::value("class weights", expected, weights.len()));
        }
        match weights
            .iter()
            .find(|weight| !(weight.is_finite() && **weight >= 0.0))
        {
            None => Ok(()),
            Some(weight) => Err(Error::value(
                "class weights",
                "finite numbers of at least 0",
                weight,
            )),
        }
    }
}

impl From<CrossEntropy> for Loss {
    fn from(options: CrossEntropy) -> Self {
        match options == CrossEntropy::default() {
            true => Loss::CrossEntropy,
            false => Loss::CrossEntropyWith(options),
        }
    }
}

impl fmt::Display for Reduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reduction::Mean => "mean over all elements",
            Reduction::BatchMean => "sum over elements, mean over the batch",
        })
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CROSS_ENTROPY: &str = "softmax cross-entropy (mean over the batch)";
        match self {
            Loss::Mse(Reduction::Mean) => f.write_str("MSE (mean over batch and classes)"),
            Loss::Mse(Reduction::BatchMean) => {
                f.write_str("MSE (sum over classes, mean over the batch)")
            }
            Loss::L1(reduction) => write!(f, "L1 ({reduction})"),
            Loss::Huber(delta, reduction) => write!(f, "Huber, delta {delta} ({reduction})"),
            Loss::BinaryCrossEntropy(reduction) => {
                write!(f, "binary cross-entropy ({reduction})")
            }
            Loss::CrossEntropy => f.write_str(CROSS_ENTROPY),
            Loss::CrossEntropyWith(CrossEntropy { smoothing, weights }) => {
                write!(f, "{CROSS_ENTROPY}, label smoothing {smoothing}")?;
                match weights {
                    Some(weights) => write!(f, ", class weights {weights:?}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Pixels of an output (N, C, …): 1 for (N, C).
fn pixels(output: &Shape) -> usize {
    output.dims().iter().skip(2).product()
}

impl Loss {
    /// The loss of `rows` rows, from the sum that the kernels compute over them; `output` is the
    /// shape of the model's output.
    pub fn of_sum(&self, sum: f64, rows: u64, output: &Shape) -> f64 {
        sum / (rows as f64 * self.terms(output) as f64)
    }

    /// The terms of a row over which the loss is the mean.
    fn terms(&self, output: &Shape) -> usize {
        match self {
            Loss::Mse(reduction)
            | Loss::L1(reduction)
            | Loss::Huber(_, reduction)
            | Loss::BinaryCrossEntropy(reduction) => match reduction {
                Reduction::Mean => output.dims().iter().skip(1).product(),
                Reduction::BatchMean => 1,
            },
            Loss::CrossEntropy | Loss::CrossEntropyWith(_) => pixels(output),
        }
    }

    /// Predictions of each row that may be right: one for each pixel, or for each label.
    pub(crate) fn predictions(&self, output: &Shape) -> usize {
        match self {
            Loss::BinaryCrossEntropy(_) => output.dims().iter().skip(1).product(),
            _ => pixels(output),
        }
    }

    /// The loss as reported: the mean over all elements, whatever the reduction of training.
    pub fn reported(&self) -> Loss {
        match *self {
            Loss::Mse(_) => Loss::Mse(Reduction::Mean),
            Loss::L1(_) => Loss::L1(Reduction::Mean),
            Loss::Huber(delta, _) => Loss::Huber(delta, Reduction::Mean),
            Loss::BinaryCrossEntropy(_) => Loss::BinaryCrossEntropy(Reduction::Mean),
            Loss::CrossEntropy | Loss::CrossEntropyWith(_) => self.clone(),
        }
    }
}
