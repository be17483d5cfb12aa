//! Sheets of images with captions, as SVG.

use std::fmt::Write as _;
use std::io::Cursor;
use std::ops::ControlFlow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{GrayImage, ImageFormat, RgbImage};
use wgrad::data::Data;
use wgrad::nn::{Flatten, Linear, Sequential};
use wgrad::plan::Port;
use wgrad::{Augmentation, Config, Device, Error, Loss, Planning, Result, Sgd, Trainer};

use crate::data::Loaded;
use crate::measure::{self, Measured};
use crate::subset::Subset;

/// Images of a sheet, and of a row of it.
const IMAGES: usize = 32;
const COLUMNS: usize = 8;

/// Pixels of an image on the sheet, and of the space around it.
const SIDE: usize = 96;
const SPACE: usize = 12;
const CAPTION: usize = 34;
const TITLE: usize = 44;

/// An image: its values from 0 to 1, channel by channel.
struct Tile {
    values: Vec<f32>,
    /// Up to two lines.
    caption: Vec<String>,
    is_wrong: bool,
}

/// Training images with random changes, and their classes.
///
/// # Errors
/// An image cannot be read, or is neither grey nor in colour.
pub async fn augmented(loaded: &Loaded, changes: Augmentation, seed: u64) -> Result<String> {
    let count = IMAGES.min(loaded.data.train().len());
    let few = Data::new(Subset::draw(&loaded.data, count, seed));
    let changed = Config::new(Loss::CrossEntropy, Sgd::new(0.0))
        .augmentation(changes)
        .planning(Planning::Unfused)
        .batch_size(count)
        .seed(seed);
    // Any model will do: its only step leaves the images in memory.
    let classes = loaded.classes.len();
    let model = Sequential::new().with(Flatten).with(Linear::new(classes));
    let mut trainer = Trainer::new(&Device::cpu(), &model, few, changed).await?;
    trainer.train_until(|_| ControlFlow::Break(())).await?;
    let (images, labels) = (
        trainer.plan().port(Port::Images)?,
        trainer.plan().port(Port::Targets)?,
    );
    let executor = trainer.executor();
    let (images, labels) = (
        executor.read(images).await?,
        executor.read_words(labels).await?,
    );
    let rows = images.chunks_exact(loaded.sample().elements());
    let tiles = rows.zip(labels).map(|(values, label)| Tile {
        values: values.to_vec(),
        caption: vec![loaded.classes[label as usize].clone()],
        is_wrong: false,
    });
    let title = format!("Training images with {changes}");
    draw(&title, loaded, &tiles.collect::<Vec<_>>())
}

/// Test images with their classes and a model's answers.
///
/// # Errors
/// An image cannot be read, or is neither grey nor in colour.
pub fn predicted(loaded: &Loaded, measured: &Measured) -> Result<String> {
    let (all, classes) = (measured.labels.len(), loaded.classes.len());
    let count = IMAGES.min(all);
    let places: Vec<u32> = (0..count).map(|at| (at * all / count) as u32).collect();
    let Some(test) = loaded.data.tested() else {
        return Err(Error::value("test set", "at least 1 image", 0));
    };
    let (images, labels) = measure::read(test, &places)?;
    let rows = images.chunks_exact(loaded.sample().elements());
    let tiles = rows
        .zip(&places)
        .zip(labels)
        .map(|((values, &place), label)| {
            let row = &measured.probabilities[place as usize * classes..][..classes];
            let answer = measure::largest(row);
            let sure = 100.0 * row[answer];
            Tile {
                values: values.to_vec(),
                caption: vec![
                    loaded.classes[label].clone(),
                    format!("→ {} {sure:.0} %", loaded.classes[answer]),
                ],
                is_wrong: answer != label,
            }
        });
    let title = "Test images: class → answer; wrong answers have a thick frame";
    draw(title, loaded, &tiles.collect::<Vec<_>>())
}

fn draw(title: &str, loaded: &Loaded, tiles: &[Tile]) -> Result<String> {
    let sample = loaded.sample();
    let &[channels @ (1 | 3), height, width] = sample.dims() else {
        return Err(Error::value("sheet", "grey or colour images", sample));
    };
    let (step, row) = (SIDE + SPACE, SIDE + SPACE + CAPTION);
    let (wide, high) = (
        COLUMNS * step + SPACE,
        tiles.len().div_ceil(COLUMNS) * row + TITLE + SPACE,
    );
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide}\" height=\"{high}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{SPACE}\" y=\"28\" font-size=\"18\">{}</text>\n",
        escape(title)
    );
    for (at, tile) in tiles.iter().enumerate() {
        let (x, y) = (SPACE + at % COLUMNS * step, TITLE + at / COLUMNS * row);
        let picture = png(&tile.values, [channels, height, width])?;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "<image x=\"{x}\" y=\"{y}\" width=\"{SIDE}\" height=\"{SIDE}\" \
             style=\"image-rendering: pixelated\" href=\"data:image/png;base64,{picture}\"/>"
        );
        let frame = if tile.is_wrong {
            ("#d55e00", 4)
        } else {
            ("#999999", 1)
        };
        let _ = writeln!(
            text,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"none\" \
             stroke=\"{}\" stroke-width=\"{}\"/>",
            frame.0, frame.1
        );
        for (line, caption) in tile.caption.iter().enumerate() {
            let (y, caption) = (y + SIDE + 14 + 14 * line, shortened(caption));
            let _ = writeln!(
                text,
                "<text x=\"{x}\" y=\"{y}\">{}</text>",
                escape(&caption)
            );
        }
    }
    text += "</svg>\n";
    Ok(text)
}

/// A caption that fits below an image.
fn shortened(caption: &str) -> String {
    const MOST: usize = 17;
    match caption.chars().count() > MOST {
        true => caption.chars().take(MOST - 1).chain(['…']).collect(),
        false => caption.to_owned(),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// A PNG file in base64.
fn png(values: &[f32], [channels, height, width]: [usize; 3]) -> Result<String> {
    let byte = |at: usize| (255.0 * values[at].clamp(0.0, 1.0)).round() as u8;
    let area = height * width;
    let (wide, high) = (width as u32, height as u32);
    let mut file = Cursor::new(Vec::new());
    let written = match channels {
        1 => GrayImage::from_fn(wide, high, |x, y| {
            image::Luma([byte(y as usize * width + x as usize)])
        })
        .write_to(&mut file, ImageFormat::Png),
        _ => RgbImage::from_fn(wide, high, |x, y| {
            let at = y as usize * width + x as usize;
            image::Rgb([byte(at), byte(area + at), byte(2 * area + at)])
        })
        .write_to(&mut file, ImageFormat::Png),
    };
    written.map_err(|error| Error::value("sheet", "images that can be written", error))?;
    Ok(STANDARD.encode(file.into_inner()))
}
