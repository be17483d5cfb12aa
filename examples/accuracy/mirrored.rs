//! Accuracy of the mean of two answers: to each image, and to its mirror image.

use wgrad::data::Dataset;
use wgrad::{Checkpoint, Device, Predictor, Result};

/// The fraction of the test set that `checkpoint`'s model classifies right by the sum of the
/// probabilities of an image and of its mirror image.
pub async fn accuracy(device: &Device, checkpoint: &Checkpoint, data: &Dataset) -> Result<f64> {
    let mut predictor = Predictor::from_checkpoint(device, checkpoint)?;
    let mut images = data.test.floats(0..data.test.len())?;
    let straight = predictor.probabilities(&images).await?;
    let width = *predictor.sample().dims().last().unwrap_or(&1);
    images.chunks_exact_mut(width).for_each(<[f32]>::reverse);
    let mirrored = predictor.probabilities(&images).await?;
    let sums: Vec<f32> = straight.iter().zip(&mirrored).map(|(a, b)| a + b).collect();
    let rows = sums.chunks_exact(predictor.class_count());
    let right = rows.zip(&data.test.labels).filter(|(row, label)| {
        let of_label = row[usize::from(**label)];
        row.iter().filter(|&&sum| sum >= of_label).count() == 1
    });
    Ok(right.count() as f64 / data.test.len() as f64)
}
