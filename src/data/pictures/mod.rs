//! Folders of pictures, a folder per class.

mod format;
mod listing;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::{Data, Dataset, Samples, Source};
use crate::error::{Error, Result};
use crate::memory;
use crate::shape::Shape;
use crate::target::{Array, Element, Target};
use format::Format;
use listing::{Labelled, Listing};

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
}

/// A data set of pictures: `D` is a [`Dataset`] in memory, or [`Data`] that is read while training
/// goes on.
#[derive(Debug, Clone)]
pub struct Pictures<D = Dataset> {
    /// The data set, with samples of (channels, height, width).
    pub dataset: D,
    /// The names of the classes: of their folders, in byte order, as torchvision sorts them.
    pub classes: Vec<String>,
    /// The files of the training samples.
    pub train: Vec<PathBuf>,
    /// The files of the test samples.
    pub test: Vec<PathBuf>,
}

impl<D> Pictures<D> {
    fn new(dataset: D, listing: Listing) -> Self {
        let paths = |files: Vec<Labelled>| files.into_iter().map(|(path, _)| path).collect();
        Pictures {
            dataset,
            classes: listing.classes,
            train: paths(listing.train),
            test: paths(listing.test),
        }
    }
}

/// Reads one picture as [`load_pictures`] would: its shape (channels, height, width), and its bytes,
/// channel by channel.
///
/// # Errors
/// The file is not a picture that can be read.
pub fn read_picture(path: impl AsRef<Path>, options: &PictureOptions) -> Result<(Shape, Vec<u8>)> {
    let path = path.as_ref();
    let format = Format::new(options, path)?;
    let shape = format.sample();
    let mut pixels = memory::zeros("picture", shape.elements())?;
    let read = format.read(path, &mut pixels);
    read.map_err(|got| Error::Data {
        path: path.to_owned(),
        expected: "a picture that can be read".to_owned(),
        got,
    })?;
    Ok((shape, pixels))
}

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
    let (listing, format) = list(folder, options)?;
    let len = format.sample().elements();
    let fault = faults_of(format, listing.len(), on_progress);
    let read = |files: &[Labelled]| -> Result<(Samples, Vec<String>)> {
        let mut images = memory::zeros("pictures", files.len().saturating_mul(len))?;
        let read = images.par_chunks_mut(len).zip(files);
        let faults = read.filter_map(|(pixels, (path, _))| fault(path, pixels));
        let faults = faults.collect();
        let labels = files.iter().map(|(_, class)| *class).collect();
        Ok((Samples { images, labels }, faults))
    };
    let (train, train_faults) = read(&listing.train)?;
    let (test, test_faults) = read(&listing.test)?;
    refuse(folder, &format, &[train_faults, test_faults].concat())?;
    let dataset = Dataset::new(format.sample(), listing.classes.len(), train, test)?;
    Ok(Pictures::new(dataset, listing))
}

/// Opens pictures as [`load_pictures`] loads them, but keeps none in memory: they are decoded, by
/// all processors, when a [`Trainer`](crate::Trainer) reads them. Each is decoded once at first, to
/// find those that cannot be read.
///
/// # Errors
/// As [`load_pictures`].
pub fn open_pictures(
    folder: impl AsRef<Path>,
    options: &PictureOptions,
    on_progress: impl Fn(usize, usize) + Sync,
) -> Result<Pictures<Data>> {
    let folder = folder.as_ref();
    let (listing, format) = list(folder, options)?;
    let fault = faults_of(format, listing.len(), on_progress);
    let all = listing.train.par_iter().chain(&listing.test);
    let room = || vec![0; format.sample().elements()];
    let faults = all.map_init(room, |pixels, (path, _)| fault(path, pixels));
    let faults: Vec<String> = faults.flatten_iter().collect();
    refuse(folder, &format, &faults)?;
    let files = |files: &[Labelled]| Files {
        files: files.to_vec(),
        format,
        classes: listing.classes.len(),
    };
    let data = Data::new(files(&listing.train));
    let data = match &listing.test[..] {
        [] => data,
        test => data.test(files(test)),
    };
    Ok(Pictures::new(data, listing))
}

/// The pictures below `folder`, and what they become.
fn list(folder: &Path, options: &PictureOptions) -> Result<(Listing, Format)> {
    check(options)?;
    let listing = Listing::new(folder, options)?;
    let format = Format::new(options, &listing.train[0].0)?;
    Ok((listing, format))
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

/// A function that reads the picture at a path, reports the progress, and returns a line if the
/// picture cannot be read.
fn faults_of(
    format: Format,
    total: usize,
    on_progress: impl Fn(usize, usize) + Sync,
) -> impl Fn(&Path, &mut [u8]) -> Option<String> + Sync {
    let done = AtomicUsize::new(0);
    move |path, pixels| {
        let read = format.read(path, pixels);
        on_progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
        let error = read.err()?.replace('\n', " ");
        Some(format!("{}: {error}", path.display()))
    }
}

/// # Errors
/// There are faults.
fn refuse(folder: &Path, format: &Format, faults: &[String]) -> Result<()> {
    let got = match faults {
        [] => return Ok(()),
        [only] => format!("another: {only}"),
        all => format!("{} others: {}", all.len(), all.join("; ")),
    };
    Err(Error::Data {
        path: folder.to_owned(),
        expected: format.expected(),
        got,
    })
}

/// Files of pictures, decoded when they are read.
#[derive(Debug)]
struct Files {
    files: Vec<Labelled>,
    format: Format,
    classes: usize,
}

impl Source for Files {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn input(&self) -> Array {
        Array::new(self.format.sample(), Element::U8)
    }

    fn target(&self) -> Target {
        Target::class(self.classes)
    }

    fn read(&self, samples: &[u32], inputs: &mut [u8], targets: &mut [u8]) -> Result<()> {
        let images = inputs.par_chunks_exact_mut(self.format.sample().elements());
        let samples = images.zip(targets).zip(samples);
        samples.try_for_each(|((pixels, label), &sample)| {
            let (path, class) = &self.files[sample as usize];
            *label = *class;
            let read = self.format.read(path, pixels);
            read.map_err(|got| Error::Data {
                path: path.clone(),
                expected: self.format.expected(),
                got,
            })
        })
    }
}
