//! A trained model on a test set.

use wgrad::data::{Array, Samples, Source, Target};
use wgrad::plan::Element;
use wgrad::{ConfusionMatrix, Device, Error, Predictor, Result};

use crate::data::Loaded;
use crate::model::Trained;

/// Samples read at a time.
const PIECE: usize = 256;

/// Classes among which the right one must be to count in [`Measured::top5`].
pub const TOP: usize = 5;

/// The answers of a model to all samples of a test set.
pub struct Measured {
    /// A row of probabilities for each sample.
    pub probabilities: Vec<f32>,
    /// The class of each sample.
    pub labels: Vec<usize>,
    pub matrix: ConfusionMatrix,
    /// Mean cross-entropy.
    pub loss: f64,
    /// Fraction of samples whose class is among the five most probable.
    pub top5: f64,
}

impl Measured {
    /// # Errors
    /// The model has other images or classes than the test set; a sample cannot be read; or the
    /// device was lost.
    pub async fn of(device: &Device, trained: &Trained, loaded: &Loaded) -> Result<Self> {
        let Some(test) = loaded.data.tested() else {
            return Err(Error::value("test set", "at least 1 image", 0));
        };
        let mut predictor = Predictor::from_checkpoint(device, &trained.checkpoint)?;
        let sample = loaded.sample();
        if predictor.sample() != sample {
            let expected = format!("images of {}, as the model's", predictor.sample());
            return Err(Error::value("data set", expected, sample));
        }
        let classes = loaded.classes.len();
        let own = trained.classes.as_ref().unwrap_or(&loaded.classes);
        if own.len() == classes && *own != loaded.classes {
            let expected = format!("the classes {}, as the model's", own.join(", "));
            return Err(Error::value(
                "data set",
                expected,
                loaded.classes.join(", "),
            ));
        }
        if predictor.class_count() != classes {
            let expected = format!("{} classes, as the model's", predictor.class_count());
            return Err(Error::value("data set", expected, classes));
        }
        let (mut probabilities, mut labels) = (Vec::new(), Vec::new());
        for first in (0..test.len()).step_by(PIECE) {
            let samples: Vec<u32> = (first..test.len().min(first + PIECE))
                .map(|sample| sample as u32)
                .collect();
            let (images, classes) = read(test, &samples)?;
            probabilities.extend(predictor.probabilities(&images).await?);
            labels.extend(classes);
        }
        Measured::from_parts(probabilities, labels, classes)
    }

    /// The probabilities of a sample's classes.
    pub fn row(&self, sample: usize) -> &[f32] {
        let classes = self.probabilities.len() / self.labels.len();
        &self.probabilities[sample * classes..][..classes]
    }

    fn from_parts(probabilities: Vec<f32>, labels: Vec<usize>, classes: usize) -> Result<Self> {
        let (mut matrix, mut loss, mut near) = (ConfusionMatrix::new(classes)?, 0.0, 0);
        for (row, &label) in probabilities.chunks_exact(classes).zip(&labels) {
            matrix.count_one(label, largest(row))?;
            // The smallest positive number stands for a probability that was rounded to zero.
            loss -= f64::from(row[label].max(f32::MIN_POSITIVE)).ln();
            near += usize::from(row.iter().filter(|&&other| other > row[label]).count() < TOP);
        }
        let count = labels.len() as f64;
        Ok(Measured {
            probabilities,
            labels,
            matrix,
            loss: loss / count,
            top5: near as f64 / count,
        })
    }
}

/// The place of the largest value, the first of several.
pub fn largest(row: &[f32]) -> usize {
    let places = row.iter().enumerate().rev();
    places
        .max_by(|a, b| a.1.total_cmp(b.1))
        .map_or(0, |(place, _)| place)
}

/// Images as floats, and their classes.
///
/// # Errors
/// A sample cannot be read.
pub fn read(source: &dyn Source, samples: &[u32]) -> Result<(Vec<f32>, Vec<usize>)> {
    let (input, target) = (source.input(), source.target());
    let Target::Classes(array, _) = &target else {
        let expected = "a class for each image";
        return Err(Error::value("test set", expected, target));
    };
    let room = |array: &Array| vec![0; array.bytes() * samples.len()];
    let (mut images, mut classes) = (room(&input), room(array));
    source.read(samples, &mut images, &mut classes)?;
    let images = match input.element {
        Element::U8 => floats(images, samples.len())?,
        Element::F32 | Element::U32 => bytemuck::pod_collect_to_vec(&images),
    };
    let classes: Vec<u32> = match array.element {
        Element::U8 => classes.into_iter().map(u32::from).collect(),
        Element::F32 | Element::U32 => bytemuck::pod_collect_to_vec(&classes),
    };
    Ok((
        images,
        classes.into_iter().map(|class| class as usize).collect(),
    ))
}

/// The bytes of `count` images as floats, as training scales them.
///
/// # Errors
/// The bytes are not those of `count` images.
pub fn floats(images: Vec<u8>, count: usize) -> Result<Vec<f32>> {
    let labels = vec![0; count];
    Samples { images, labels }.floats(0..count)
}
