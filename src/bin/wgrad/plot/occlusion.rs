//! What an image's class rests on: the probability of the class while a grey square covers a part
//! of the image, for each place of the square (Zeiler and Fergus, "Visualizing and Understanding
//! Convolutional Networks", section 4.2).

use wgrad::{Error, Predictor, Result};

use super::{Subject, in_color};
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
pub async fn sheet(predictor: &mut Predictor, subject: &Subject) -> Result<String> {
    let sample = predictor.sample();
    let &[_, height, width] = sample.dims() else {
        return Err(Error::value("occlusion map", "an image", sample));
    };
    let side = (height.min(width) / PART).max(1);
    let step = (side / 4).max(1);
    // The square may stick out, so that each pixel is covered equally often.
    let columns = || corners(width, side, step);
    let squares = corners(height, side, step)
        .flat_map(|top| columns().map(move |left| covered(top, left, side, [height, width])));
    let squares: Vec<Vec<usize>> = squares
        .map(|pixels| pixels.map(|(y, x)| y * width + x).collect())
        .collect();
    let mut images = Vec::new();
    for square in &squares {
        let mut image = subject.values.clone();
        for plane in image.chunks_exact_mut(height * width) {
            square.iter().for_each(|&pixel| plane[pixel] = COVER);
        }
        images.extend(image);
    }
    let rows = predictor.probabilities(&images).await?;
    let rows = rows.chunks_exact(predictor.class_count());
    // The mean over the squares that cover a pixel.
    let (mut falls, mut counts) = (vec![0f32; height * width], vec![0f32; height * width]);
    for (square, row) in squares.iter().zip(rows) {
        for &pixel in square {
            falls[pixel] += subject.probability - row[subject.class];
            counts[pixel] += 1.0;
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
fn corners(extent: usize, side: usize, step: usize) -> impl Iterator<Item = isize> {
    let first = 1 - side as isize;
    (first..extent as isize).step_by(step)
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
