//! How often each class occurs.

use super::source::{Source, read};
use crate::error::{Error, Result};
use crate::target::{Array, Element, Target};

/// Samples read at a time.
const PIECE: usize = 256;

/// The number of samples, or pixels, of each class.
///
/// # Errors
/// The targets are not classes, a sample cannot be read, or a class is out of range.
pub fn class_counts(source: &dyn Source) -> Result<Vec<u64>> {
    let Target::Classes(array, classes) = source.target() else {
        let got = source.target().to_string();
        return Err(Error::value(
            "class counts",
            "targets that are classes",
            got,
        ));
    };
    let mut counts = vec![0; classes];
    for first in (0..source.len()).step_by(PIECE) {
        let end = source.len().min(first + PIECE);
        let samples: Vec<u32> = (first as u32..end as u32).collect();
        let [_, targets] = read(source, &samples)?;
        for class in words(&array, &targets) {
            let count = counts.get_mut(class as usize).ok_or_else(|| {
                Error::value("class counts", format!("labels below {classes}"), class)
            });
            *count? += 1;
        }
    }
    Ok(counts)
}

/// Integers, from bytes or words.
pub(super) fn words<'a>(array: &Array, bytes: &'a [u8]) -> Box<dyn Iterator<Item = u32> + 'a> {
    match array.element {
        Element::U8 => Box::new(bytes.iter().map(|&byte| byte.into())),
        Element::U32 | Element::F32 => {
            let (words, _) = bytes.as_chunks();
            Box::new(words.iter().map(|&bytes| u32::from_le_bytes(bytes)))
        }
    }
}

/// Weights for [`CrossEntropy::class_weights`](crate::CrossEntropy::class_weights) by which each
/// class counts alike: `samples / (classes·count)`, whose mean over the samples is 1, as
/// scikit-learn's `balanced`. A class without samples has weight 0.
///
/// ```
/// assert_eq!(wgrad::data::balanced_weights(&[30, 10, 0]), [2.0 / 3.0, 2.0, 0.0]);
/// ```
pub fn balanced_weights(counts: &[u64]) -> Vec<f32> {
    let present = counts.iter().filter(|&&count| count > 0).count();
    let all: u64 = counts.iter().sum();
    let weight = |&count: &u64| match count {
        0 => 0.0,
        count => (all as f64 / (present as f64 * count as f64)) as f32,
    };
    counts.iter().map(weight).collect()
}
