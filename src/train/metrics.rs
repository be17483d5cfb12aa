//! Metrics that the host computes from a model's outputs.

use super::ConfusionMatrix;
use crate::error::{Error, Result};
use crate::ops::{first_largest, ordered_key};
use crate::shape::Shape;

/// The targets of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// The class of each row, or of each pixel of each row.
    Classes(Vec<u32>),
    /// Numbers of the shape of the output.
    Numbers(Vec<f32>),
}

/// A measure of a model's outputs, batch by batch: [`Trainer::measure`](crate::Trainer::measure).
pub trait Metric {
    /// Adds the outputs of some rows, and their targets. `output` is the shape of a whole batch:
    /// (N, classes), or (N, …).
    ///
    /// # Errors
    /// The targets are of another kind than the metric's.
    fn add(&mut self, outputs: &[f32], output: &Shape, targets: &Targets) -> Result<()>;
}

/// The logits of each pixel of outputs (rows, C, …), C for each.
fn pixels<'a>(
    outputs: &'a [f32],
    output: &Shape,
    classes: usize,
) -> impl Iterator<Item = Vec<f32>> + use<'a> {
    let area: usize = output.dims().iter().skip(2).product();
    let rows = outputs.chunks_exact(classes * area);
    rows.flat_map(move |row| {
        (0..area).map(move |pixel| {
            let logits = row.iter().skip(pixel).step_by(area);
            logits.copied().collect()
        })
    })
}

/// The class of each row or pixel: its largest logit, the first if several tie.
pub(crate) fn predictions<'a>(
    outputs: &'a [f32],
    output: &Shape,
    classes: usize,
) -> impl Iterator<Item = usize> + use<'a> {
    let pixels = pixels(outputs, output, classes);
    pixels.map(|logits| first_largest(&logits) as usize)
}

/// # Errors
/// The targets are numbers.
fn classes<'a>(metric: &str, targets: &'a Targets) -> Result<&'a [u32]> {
    match targets {
        Targets::Classes(classes) => Ok(classes),
        Targets::Numbers(_) => Err(Error::value(metric, "targets that are classes", "numbers")),
    }
}

/// The fraction of samples, or pixels, whose class is among the `k` largest logits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopK {
    k: usize,
    right: u64,
    all: u64,
}

impl TopK {
    /// Among the `k` largest: 5 is usual for many classes.
    pub fn new(k: usize) -> Self {
        TopK {
            k,
            right: 0,
            all: 0,
        }
    }

    /// The fraction, 0 to 1; NaN without samples.
    pub fn value(&self) -> f64 {
        self.right as f64 / self.all as f64
    }
}

impl Metric for TopK {
    fn add(&mut self, outputs: &[f32], output: &Shape, targets: &Targets) -> Result<()> {
        let labels = classes("top-k", targets)?;
        let pixels = pixels(outputs, output, output.dims()[1]);
        for (logits, &label) in pixels.zip(labels) {
            let label = label as usize;
            let own = ordered_key(logits[label]);
            // As in `first_largest`, the first of equal logits comes first.
            let before = logits.iter().enumerate().filter(|&(class, &logit)| {
                let key = ordered_key(logit);
                key > own || (key == own && class < label)
            });
            self.right += u64::from(before.count() < self.k);
            self.all += 1;
        }
        Ok(())
    }
}

/// The mean of |output − target| over all elements.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MeanAbsoluteError {
    sum: f64,
    all: u64,
}

impl MeanAbsoluteError {
    /// The mean; NaN without samples.
    pub fn value(&self) -> f64 {
        self.sum / self.all as f64
    }
}

impl Metric for MeanAbsoluteError {
    fn add(&mut self, outputs: &[f32], _: &Shape, targets: &Targets) -> Result<()> {
        let Targets::Numbers(targets) = targets else {
            let expected = "targets that are numbers";
            return Err(Error::value("mean absolute error", expected, "classes"));
        };
        let errors = outputs.iter().zip(targets);
        self.sum += errors
            .map(|(&output, &target)| (f64::from(output) - f64::from(target)).abs())
            .sum::<f64>();
        self.all += targets.len() as u64;
        Ok(())
    }
}

impl Metric for ConfusionMatrix {
    fn add(&mut self, outputs: &[f32], output: &Shape, targets: &Targets) -> Result<()> {
        let labels = classes("confusion matrix", targets)?;
        let columns = output.dims()[1];
        let predicted = predictions(outputs, output, columns);
        for (&label, predicted) in labels.iter().zip(predicted) {
            self.count_one(label as usize, predicted)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rows of three classes and two pixels.
    const OUTPUTS: [f32; 12] = [
        3.0, 0.0, 2.0, 5.0, 1.0, 4.0, //
        0.0, 1.0, 0.0, 1.0, 7.0, 1.0,
    ];

    #[test]
    fn pixels_have_classes_of_their_own() {
        let shape = Shape::from([9, 3, 2]);
        let found: Vec<usize> = predictions(&OUTPUTS, &shape, 3).collect();
        assert_eq!(found, [0, 1, 2, 0]);
        let targets = Targets::Classes(vec![1, 0, 2, 2]);
        let mut second = TopK::new(2);
        second.add(&OUTPUTS, &shape, &targets).unwrap();
        assert_eq!(second.value(), 0.5);
        let mut matrix = ConfusionMatrix::new(3).unwrap();
        matrix.add(&OUTPUTS, &shape, &targets).unwrap();
        assert_eq!((matrix.count(1, 0), matrix.count(2, 2)), (1, 1));
        // Class 0: 0 of 3; class 1: 0 of 2; class 2: 1 of 2.
        assert!((matrix.mean_iou() - 0.5 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn errors_are_averaged_and_other_targets_refused() {
        let shape = Shape::from([1, 2]);
        let mut mean = MeanAbsoluteError::default();
        let targets = Targets::Numbers(vec![1.0, -2.0]);
        mean.add(&[0.5, 1.0], &shape, &targets).unwrap();
        assert_eq!(mean.value(), 1.75);
        let error = TopK::new(1).add(&[0.5, 1.0], &shape, &targets).unwrap_err();
        assert_eq!(
            error.to_string(),
            "top-k: expected targets that are classes, got numbers"
        );
        assert!(
            mean.add(&[0.0], &shape, &Targets::Classes(vec![0]))
                .is_err()
        );
    }
}
