//! What an image's class rests on: the probability of the class while a grey square covers a part
//! of the image, for each place of the square (Zeiler and Fergus, "Visualizing and Understanding
//! Convolutional Networks", section 4.2).

use wgrad::{Device, Predictor, Result};

use super::{Subject, in_color};
use crate::model::Trained;
use crate::tiles::{self, Group, Image, Layout, Tile};

/// The square's side is that of the image divided by this.
const PART: usize = 4;

/// The square's value: middle grey.
const COVER: f32 = 0.5;

const LAYOUT: Layout = Layout {
    columns: 3,
    side: 240,
    lines: 2,
};

/// The image, the map of how far the probability falls, and the image with what matters bright.
///
/// # Errors
/// The device was lost.
pub async fn sheet(device: &Device, trained: &Trained, subject: &Subject) -> Result<String> {
    let mut predictor = Predictor::from_checkpoint(device, &trained.checkpoint)?;
    let sample = predictor.sample();
    let &[channels, height, width] = sample.dims() else {
        return Err(wgrad::Error::value("occlusion map", "an image", sample));
    };
    let side = (height.min(width) / PART).max(1);
    let step = (side / 4).max(1);
    // The square may stick out, so that each pixel is covered equally often.
    let (rows, columns) = (corners(height, side, step), corners(width, side, step));
    let mut images = Vec::new();
    for &top in &rows {
        for &left in &columns {
            let mut image = subject.values.clone();
            for (y, x) in covered(top, left, side, [height, width]) {
                for channel in 0..channels {
                    image[(channel * height + y) * width + x] = COVER;
                }
            }
            images.extend(image);
        }
    }
    let classes = predictor.class_count();
    let rows_of = predictor.probabilities(&images).await?;
    let mut of_class = rows_of.chunks_exact(classes).map(|row| row[subject.class]);
    // The mean over the squares that cover a pixel.
    let (mut falls, mut counts) = (vec![0f32; height * width], vec![0f32; height * width]);
    for &top in &rows {
        for &left in &columns {
            let fall = subject.probability - of_class.next().unwrap_or(subject.probability);
            for (y, x) in covered(top, left, side, [height, width]) {
                falls[y * width + x] += fall;
                counts[y * width + x] += 1.0;
            }
        }
    }
    for (fall, count) in falls.iter_mut().zip(&counts) {
        *fall /= count.max(1.0);
    }
    let largest = falls.iter().copied().fold(0f32, f32::max);
    let scale = largest.max(1e-6);
    let map: Vec<f32> = falls
        .iter()
        .map(|fall| (fall / scale).clamp(0.0, 1.0))
        .collect();
    let lit = subject.values.iter().zip(map.iter().cycle());
    let lit = lit.map(|(value, weight)| value * (0.15 + 0.85 * weight));
    let tile = |image, lines: [String; 2]| Tile {
        image,
        caption: lines.to_vec(),
        is_marked: false,
    };
    let group = Group {
        title: subject.name.clone(),
        tiles: vec![
            tile(
                Image::new(&sample, subject.values.clone())?,
                ["the image".to_owned(), String::new()],
            ),
            tile(
                in_color([height, width], &map)?,
                [
                    "mean fall of the probability:".to_owned(),
                    format!("violet 0, yellow {:.1} points", 100.0 * largest),
                ],
            ),
            tile(
                Image::new(&sample, lit.collect())?,
                ["bright where the class rests on".to_owned(), String::new()],
            ),
        ],
    };
    let title = format!("Occlusion by a grey square of {side} pixels");
    tiles::sheet(&title, &[group], LAYOUT)
}

/// The first rows or columns of the squares.
fn corners(extent: usize, side: usize, step: usize) -> Vec<isize> {
    let first = 1 - side as isize;
    (first..extent as isize).step_by(step).collect()
}

/// The pixels that a square covers.
fn covered(
    top: isize,
    left: isize,
    side: usize,
    [height, width]: [usize; 2],
) -> impl Iterator<Item = (usize, usize)> {
    let inside = move |first: isize, extent: usize| {
        let last = (first + side as isize).clamp(0, extent as isize);
        first.max(0) as usize..last as usize
    };
    inside(top, height).flat_map(move |y| inside(left, width).map(move |x| (y, x)))
}
