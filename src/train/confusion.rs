//! Counts of true and predicted classes.

use std::fmt;

use crate::error::{Error, Result};

/// Most classes of a matrix, which has the square of that many counts.
const MOST: usize = 4096;

/// The number of samples by true and predicted class.
///
/// ```
/// use wgrad::ConfusionMatrix;
/// let matrix = ConfusionMatrix::of(&[0, 0, 1, 1, 1], &[0, 1, 1, 1, 0], 2)?;
/// assert_eq!(matrix.count(0, 1), 1);
/// assert_eq!(matrix.accuracy(), 0.6);
/// assert_eq!(matrix.to_string(), "\
/// class      0      1  right
///     0      1      1  50.0 %
///     1      1      2  66.7 %");
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusionMatrix {
    classes: usize,
    counts: Vec<u64>,
}

impl ConfusionMatrix {
    /// Counts the pairs of `labels`, the true classes, and `predicted`.
    ///
    /// # Errors
    /// The lengths differ, a class is not below `classes`, or there are no classes or more than
    /// 4,096.
    pub fn of(labels: &[u8], predicted: &[usize], classes: usize) -> Result<Self> {
        let mut matrix = ConfusionMatrix::new(classes)?;
        if labels.len() != predicted.len() {
            return Err(Error::value(
                "predictions",
                labels.len().to_string(),
                predicted.len(),
            ));
        }
        for (&label, &predicted) in labels.iter().zip(predicted) {
            matrix.count_one(label.into(), predicted)?;
        }
        Ok(matrix)
    }

    /// A matrix without samples.
    ///
    /// # Errors
    /// There are no classes or more than 4,096.
    pub fn new(classes: usize) -> Result<Self> {
        if classes == 0 || classes > MOST {
            return Err(Error::value("classes", format!("1 to {MOST}"), classes));
        }
        let counts = vec![0; classes * classes];
        Ok(ConfusionMatrix { classes, counts })
    }

    /// Counts one more sample.
    ///
    /// # Errors
    /// A class is not one of the matrix.
    pub fn count_one(&mut self, label: usize, predicted: usize) -> Result<()> {
        let classes = self.classes;
        if let Some(class) = [label, predicted]
            .into_iter()
            .find(|&class| class >= classes)
        {
            return Err(Error::value("class", format!("below {classes}"), class));
        }
        self.counts[label * classes + predicted] += 1;
        Ok(())
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of samples of class `label` that were predicted as `predicted`; 0 for classes that do
    /// not exist.
    pub fn count(&self, label: usize, predicted: usize) -> u64 {
        let mut rows = self.counts.chunks(self.classes);
        let count = rows.nth(label).and_then(|row| row.get(predicted));
        count.copied().unwrap_or(0)
    }

    /// The fraction of correct predictions, 0 to 1; NaN without samples.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.classes)
            .map(|class| self.count(class, class))
            .sum();
        right as f64 / self.counts.iter().sum::<u64>() as f64
    }
}

impl ConfusionMatrix {
    /// The mean, over the classes that occur, of the samples or pixels that have and are predicted
    /// as a class, over those that have it or are predicted as it: 0 to 1, NaN without samples.
    pub fn mean_iou(&self) -> f64 {
        let all = 0..self.classes;
        let ratios = all.clone().filter_map(|class| {
            let right = self.count(class, class);
            let labelled: u64 = all.clone().map(|other| self.count(class, other)).sum();
            let predicted: u64 = all.clone().map(|other| self.count(other, class)).sum();
            let union = labelled + predicted - right;
            (union > 0).then(|| right as f64 / union as f64)
        });
        let ratios: Vec<f64> = ratios.collect();
        ratios.iter().sum::<f64>() / ratios.len() as f64
    }
}

impl fmt::Display for ConfusionMatrix {
    /// A row for each true class, a column for each predicted one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "class")?;
        for class in 0..self.classes {
            write!(f, " {class:>6}")?;
        }
        write!(f, "  right")?;
        for (label, row) in self.counts.chunks(self.classes).enumerate() {
            write!(f, "\n{label:>5}")?;
            for count in row {
                write!(f, " {count:>6}")?;
            }
            match row.iter().sum::<u64>() {
                0 => write!(f, "  none")?,
                all => write!(f, "  {:.1} %", row[label] as f64 / all as f64 * 100.0)?,
            }
        }
        Ok(())
    }
}
