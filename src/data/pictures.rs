//! Folders of pictures, a folder per class.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use image::imageops::FilterType;
use image::{DynamicImage, ImageReader};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{Dataset, Samples};
use crate::error::{Error, Result};
use crate::memory;

/// Names of the folder of pictures to train on, if there is one.
const TRAIN: [&str; 1] = ["train"];

/// Names of the folder of pictures to evaluate on; the first that exists is used.
const TEST: [&str; 4] = ["test", "val", "valid", "validation"];

/// Endings of file names that are read as pictures, in any case.
const ENDINGS: [&str; 5] = ["png", "jpg", "jpeg", "bmp", "webp"];

/// Classes that a byte can number.
const MOST_CLASSES: usize = 256;

/// Options for reading pictures.
///
/// ```
/// use wgrad::data::PictureOptions;
///
/// let options = PictureOptions::new().size([64, 64]).grey(true);
/// # let _ = options;
/// ```
#[derive(Debug, Clone)]
pub struct PictureOptions {
    size: Option<[usize; 2]>,
    grey: bool,
    test_fraction: f64,
    seed: u64,
}

impl Default for PictureOptions {
    fn default() -> Self {
        PictureOptions::new()
    }
}

impl PictureOptions {
    /// Colour pictures that all have one size; a tenth is for evaluation, if there is no folder of
    /// its own.
    pub fn new() -> Self {
        PictureOptions {
            size: None,
            grey: false,
            test_fraction: 0.1,
            seed: 0,
        }
    }

    /// Brings every picture to (height, width): it is scaled so that it just covers that size,
    /// keeping its proportions, and cropped to its centre. Pictures of that size stay as they are.
    #[must_use]
    pub fn size(self, [height, width]: [usize; 2]) -> Self {
        PictureOptions {
            size: Some([height, width]),
            ..self
        }
    }

    /// Reads grey pictures, with one channel; otherwise red, green and blue.
    #[must_use]
    pub fn grey(self, grey: bool) -> Self {
        PictureOptions { grey, ..self }
    }

    /// The fraction of each class that is drawn by `seed` for evaluation, if there is no folder of
    /// its own.
    #[must_use]
    pub fn test_fraction(self, test_fraction: f64, seed: u64) -> Self {
        PictureOptions {
            test_fraction,
            seed,
            ..self
        }
    }

    fn channels(&self) -> usize {
        if self.grey { 1 } else { 3 }
    }
}

/// A data set read from pictures.
#[derive(Debug, Clone)]
pub struct Pictures {
    /// The data set, with samples of (channels, height, width).
    pub dataset: Dataset,
    /// The names of the classes: of their folders, in byte order, as torchvision sorts them.
    pub classes: Vec<String>,
    /// The files of the training samples.
    pub train: Vec<PathBuf>,
    /// The files of the test samples.
    pub test: Vec<PathBuf>,
}

/// A picture's file and its class.
type Labelled = (PathBuf, u8);

/// Loads the pictures (PNG, JPEG, BMP, WebP) of `folder/CLASS/`, or of `folder/train/CLASS/` and
/// `folder/test/CLASS/` (or `val`, `valid`, `validation`); subfolders of a class belong to it.
/// `on_progress` is called with the number of pictures read and their total, from many threads.
///
/// Transparency is dropped, values of 16 bits are rounded to 8, and the orientation in a
/// photograph's metadata is not applied, as in torchvision.
///
/// # Errors
/// There are no classes, or more than 256; a class has no pictures; the test set has a class that
/// the training set lacks; the sizes differ and no size is given; pictures cannot be read: all of
/// them are listed.
pub fn load_pictures(
    folder: impl AsRef<Path>,
    options: &PictureOptions,
    on_progress: impl Fn(usize, usize) + Sync,
) -> Result<Pictures> {
    let folder = folder.as_ref();
    check(options)?;
    let root = first_of(folder, &TRAIN).unwrap_or_else(|| folder.to_owned());
    let own_test = first_of(folder, &TEST).filter(|_| root != folder);
    let classes = classes_of(&root)?;
    let files = files_of(&root, &classes)?;
    let (train, test) = match own_test {
        Some(test) => {
            let unknown = classes_of(&test)?;
            if let Some(unknown) = unknown.iter().find(|name| !classes.contains(name)) {
                return Err(Error::Data {
                    path: test.join(unknown),
                    expected: "a class of the training set".to_owned(),
                    got: "another folder".to_owned(),
                });
            }
            let present: Vec<String> = classes
                .iter()
                .filter(|c| unknown.contains(c))
                .cloned()
                .collect();
            let renumbered = files_of(&test, &present)?.into_iter().map(|(path, class)| {
                let name = &present[usize::from(class)];
                let class = classes.iter().position(|other| other == name);
                (path, class.unwrap_or_default() as u8)
            });
            (files, renumbered.collect())
        }
        None => split(files, classes.len(), options),
    };
    let size = match options.size {
        Some(size) => size,
        None => size_of(&train[0].0)?,
    };
    let done = AtomicUsize::new(0);
    let total = train.len() + test.len();
    let report = || on_progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
    let read = |files: &[Labelled]| read_all(files, size, options, &report);
    let (train_samples, train_broken) = read(&train)?;
    let (test_samples, test_broken) = read(&test)?;
    let broken = [train_broken, test_broken].concat();
    if !broken.is_empty() {
        return Err(Error::Data {
            path: folder.to_owned(),
            expected: match options.size {
                Some(_) => "pictures that can be read".to_owned(),
                None => format!("pictures of {}×{}, the first one's size", size[0], size[1]),
            },
            got: match &broken[..] {
                [only] => format!("another: {only}"),
                all => format!("{} others: {}", all.len(), all.join("; ")),
            },
        });
    }
    let sample = [options.channels(), size[0], size[1]];
    let paths = |files: Vec<Labelled>| files.into_iter().map(|(path, _)| path).collect();
    Ok(Pictures {
        dataset: Dataset::new(sample, classes.len(), train_samples, test_samples)?,
        classes,
        train: paths(train),
        test: paths(test),
    })
}

/// Checks the options.
fn check(options: &PictureOptions) -> Result<()> {
    if let Some(size) = options.size.filter(|size| size.contains(&0)) {
        let got = format!("{}×{}", size[0], size[1]);
        return Err(Error::value("size of pictures", "at least 1×1", got));
    }
    if !(0.0..1.0).contains(&options.test_fraction) {
        let fraction = options.test_fraction;
        return Err(Error::value(
            "fraction of test pictures",
            "0 to below 1",
            fraction,
        ));
    }
    Ok(())
}

/// The first of `names` that is a folder within `folder`.
fn first_of(folder: &Path, names: &[&str]) -> Option<PathBuf> {
    let folders = names.iter().map(|name| folder.join(name));
    folders.into_iter().find(|path| path.is_dir())
}

/// The entries of a folder, in byte order of their names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| Error::Io {
        path: folder.to_owned(),
        source,
    };
    let mut paths = fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| Ok(entry.map_err(failed)?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// The names of the classes: the folders of `root`, but hidden ones.
fn classes_of(root: &Path) -> Result<Vec<String>> {
    let mut classes = Vec::new();
    for path in entries(root)?.into_iter().filter(|path| path.is_dir()) {
        let name = path.file_name().unwrap_or_default();
        let name = name.to_str().ok_or_else(|| Error::Data {
            path: path.clone(),
            expected: "a class name in UTF-8".to_owned(),
            got: "other bytes".to_owned(),
        })?;
        if !name.starts_with('.') {
            classes.push(name.to_owned());
        }
    }
    match classes.len() {
        1..=MOST_CLASSES => Ok(classes),
        count => Err(Error::Data {
            path: root.to_owned(),
            expected: format!("1 to {MOST_CLASSES} folders, one per class"),
            got: count.to_string(),
        }),
    }
}

/// The pictures of each class, class by class.
fn files_of(root: &Path, classes: &[String]) -> Result<Vec<Labelled>> {
    let mut files = Vec::new();
    for (class, name) in classes.iter().enumerate() {
        let (folder, before) = (root.join(name), files.len());
        let mut folders = vec![folder.clone()];
        while let Some(folder) = folders.pop() {
            for path in entries(&folder)? {
                if path.is_dir() {
                    folders.push(path);
                } else if is_picture(&path) {
                    files.push((path, class as u8));
                }
            }
        }
        if files.len() == before {
            return Err(Error::Data {
                path: folder,
                expected: format!("pictures ({})", ENDINGS.join(", ")),
                got: "none".to_owned(),
            });
        }
        files[before..].sort();
    }
    Ok(files)
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let is_hidden = path
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !is_hidden && ending.is_some_and(|ending| ENDINGS.contains(&&*ending.to_lowercase()))
}

/// Draws the test fraction of each class, rounded, but leaves at least one picture to train on.
fn split(
    files: Vec<Labelled>,
    classes: usize,
    options: &PictureOptions,
) -> (Vec<Labelled>, Vec<Labelled>) {
    let mut generator = ChaCha8Rng::seed_from_u64(options.seed);
    let (mut train, mut test) = (Vec::new(), Vec::new());
    let mut files = files.into_iter().peekable();
    for class in 0..classes {
        let mut own = Vec::new();
        while let Some(file) = files.next_if(|(_, label)| usize::from(*label) == class) {
            own.push(file);
        }
        let count = (own.len() as f64 * options.test_fraction).round() as usize;
        let mut places: Vec<usize> = (0..own.len()).collect();
        places.shuffle(&mut generator);
        let mut drawn = vec![false; own.len()];
        for &place in places.iter().take(count.min(own.len() - 1)) {
            drawn[place] = true;
        }
        for (file, drawn) in own.into_iter().zip(drawn) {
            if drawn { &mut test } else { &mut train }.push(file);
        }
    }
    (train, test)
}

/// (height, width) of a picture, from its header.
fn size_of(path: &Path) -> Result<[usize; 2]> {
    let size = reader(path).and_then(|reader| reader.into_dimensions().map_err(|e| e.to_string()));
    let (width, height) = size.map_err(|got| Error::Data {
        path: path.to_owned(),
        expected: "a picture".to_owned(),
        got,
    })?;
    Ok([height as usize, width as usize])
}

/// A reader that takes the format from the content, not from the name.
fn reader(path: &Path) -> Result<ImageReader<std::io::BufReader<fs::File>>, String> {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    reader.map_err(|error| error.to_string())
}

/// The samples of `files`, and a line for each that cannot be read.
fn read_all(
    files: &[Labelled],
    size: [usize; 2],
    options: &PictureOptions,
    report: &(impl Fn() + Sync),
) -> Result<(Samples, Vec<String>)> {
    let len = options.channels() * size[0] * size[1];
    let mut images = memory::zeros("pictures", files.len().saturating_mul(len))?;
    let broken: Vec<String> = images
        .par_chunks_mut(len)
        .zip(files)
        .filter_map(|(pixels, (path, _))| {
            let read = read_one(path, size, options, pixels);
            report();
            let error = read.err()?.replace('\n', " ");
            Some(format!("{}: {error}", path.display()))
        })
        .collect();
    let labels = files.iter().map(|(_, class)| *class).collect();
    Ok((Samples { images, labels }, broken))
}

/// Reads a picture into `pixels`, channel by channel.
fn read_one(
    path: &Path,
    [height, width]: [usize; 2],
    options: &PictureOptions,
    pixels: &mut [u8],
) -> Result<(), String> {
    let picture = reader(path)?.decode().map_err(|error| error.to_string())?;
    let is_that_size = (picture.height() as usize, picture.width() as usize) == (height, width);
    let picture = match options.size {
        _ if is_that_size => picture,
        Some(_) => {
            // Scales to cover the size, then crops to the centre.
            picture.resize_to_fill(width as u32, height as u32, FilterType::Triangle)
        }
        None => return Err(format!("{}×{}", picture.height(), picture.width())),
    };
    if options.grey {
        pixels.copy_from_slice(&DynamicImage::to_luma8(&picture));
        return Ok(());
    }
    let area = height * width;
    for (at, pixel) in picture.to_rgb8().pixels().enumerate() {
        for (channel, value) in pixel.0.into_iter().enumerate() {
            pixels[channel * area + at] = value;
        }
    }
    Ok(())
}
