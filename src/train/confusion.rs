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
        if classes == 0 || classes > MOST {
            return Err(Error::value("classes", format!("1 to {MOST}"), classes));
        }
        if labels.len() != predicted.len() {
            return Err(Error::value(
                "predictions",
                labels.len().to_string(),
                predicted.len(),
            ));
        }
        let mut counts = vec![0; classes * classes];
        for (&label, &predicted) in labels.iter().zip(predicted) {
            let label = usize::from(label);
            if let Some(class) = [label, predicted]
                .into_iter()
                .find(|&class| class >= classes)
            {
                return Err(Error::value("class", format!("below {classes}"), class));
            }
            counts[label * classes + predicted] += 1;
        }
        Ok(ConfusionMatrix { classes, counts })
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
