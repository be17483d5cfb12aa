//! The sheets of images of a run: training images as random changes leave them, test images with
//! answers.

use std::ops::ControlFlow;

use wgrad::data::Data;
use wgrad::nn::{Flatten, Linear, Sequential};
use wgrad::plan::Port;
use wgrad::{Augmentation, Config, Device, Error, Loss, Planning, Result, Sgd, Trainer};

use crate::data::Loaded;
use crate::measure::{self, Measured};
use crate::subset::Subset;
use crate::tiles::{self, Group, Image, Layout, Tile};

/// Images of a sheet.
pub const IMAGES: usize = 32;

const LAYOUT: Layout = Layout {
    columns: 8,
    side: 96,
    lines: 2,
};

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
    let (images, targets) = (
        executor.read(images).await?,
        executor.read_words(labels).await?,
    );
    let sample = loaded.sample();
    let rows = images.chunks_exact(sample.elements());
    let targets = targets.chunks_exact(targets.len() / count);
    let tiles = rows.zip(targets).map(|(values, target)| {
        Ok(Tile {
            image: Image::new(&sample, values.to_vec())?,
            caption: classes_of(target, &loaded.classes),
            is_marked: false,
        })
    });
    draw(
        &format!("Training images with {changes}"),
        tiles.collect::<Result<_>>()?,
    )
}

/// The class of an image, or the shares of two where mixup mixed it with another.
fn classes_of(target: &[u32], classes: &[String]) -> Vec<String> {
    if let &[label] = target {
        return vec![classes[label as usize].clone()];
    }
    let shares = target.iter().map(|&share| f32::from_bits(share));
    let shares = classes.iter().zip(shares).filter(|(_, share)| *share > 0.0);
    shares
        .map(|(class, share)| format!("{:.0} % {class}", 100.0 * share))
        .collect()
}

/// Test images with their classes and a model's answers.
///
/// # Errors
/// An image cannot be read, or is neither grey nor in colour.
pub fn predicted(loaded: &Loaded, measured: &Measured) -> Result<String> {
    let all = measured.labels.len();
    let count = IMAGES.min(all);
    let places: Vec<u32> = (0..count).map(|at| (at * all / count) as u32).collect();
    let title = "Test images: class → answer; wrong answers have a thick frame";
    answers(title, loaded, measured, &places)
}

/// The test images at these places, with their classes and a model's answers.
///
/// # Errors
/// As [`predicted`].
pub fn answers(
    title: &str,
    loaded: &Loaded,
    measured: &Measured,
    places: &[u32],
) -> Result<String> {
    let Some(test) = loaded.data.tested() else {
        return Err(Error::value("test set", "at least 1 image", 0));
    };
    let (images, labels) = measure::read(test, places)?;
    let sample = loaded.sample();
    let rows = images.chunks_exact(sample.elements());
    let tiles = rows
        .zip(places)
        .zip(labels)
        .map(|((values, &place), label)| {
            let row = measured.row(place as usize);
            let answer = measure::largest(row);
            let sure = 100.0 * row[answer];
            Ok(Tile {
                image: Image::new(&sample, values.to_vec())?,
                caption: vec![
                    loaded.classes[label].clone(),
                    format!("→ {sure:.0} % {}", loaded.classes[answer]),
                ],
                is_marked: answer != label,
            })
        });
    draw(title, tiles.collect::<Result<_>>()?)
}

fn draw(title: &str, tiles: Vec<Tile>) -> Result<String> {
    let group = Group {
        title: String::new(),
        tiles,
    };
    tiles::sheet(title, &[group], LAYOUT)
}
