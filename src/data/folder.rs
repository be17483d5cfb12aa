//! Folders of four IDX files: training images and labels, test images and labels.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::idx::{Expected, Extents, Idx, read};
use super::{Dataset, Samples};
use crate::error::{Error, Result};
use crate::shape::Shape;

/// Options for reading the files of a folder; the default reads MNIST's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdxOptions {
    /// The prefix of the file names, without the hyphen after it: `emnist-letters`. `None` reads
    /// the files without a prefix, or those of the only prefix in the folder.
    pub prefix: Option<String>,
    /// Whether images are stored transposed, as EMNIST's are.
    pub transposed: bool,
    /// The label of the first class, which becomes 0. `None` means 1 if that is the smallest label
    /// of both sets, as in EMNIST's letters, else 0.
    pub first_label: Option<u8>,
    /// Number of classes. `None` derives it from the largest label of both sets.
    pub classes: Option<usize>,
}

/// Loads the four IDX files of `folder`, of any number of images of any size:
///
/// | file | extents |
/// | --- | --- |
/// | `train-images-idx3-ubyte` | (N, H, W), samples of (1, H, W); or (N, C, H, W), samples of (C, H, W) |
/// | `train-labels-idx1-ubyte` | (N) |
/// | `t10k-images-idx3-ubyte` | as the training images, except N |
/// | `t10k-labels-idx1-ubyte` | as the training labels, except N |
///
/// A name may begin with a prefix and a hyphen, say `test` for `t10k`, have a dot before `idx`,
/// another digit after it, and end in `.gz`: `emnist-letters-test-images-idx3-ubyte.gz`,
/// `train-images.idx3-ubyte`. If several match, a plain file takes precedence over a gzipped one,
/// then the first by name.
///
/// # Errors
/// A file is missing, cannot be read or unpacked, or is not an IDX file of bytes; images and labels
/// differ in number; training and test images differ in size; the folder has several data sets and
/// no prefix is given; or an error of [`Dataset::new`].
pub fn load_idx(folder: impl AsRef<Path>, options: &IdxOptions) -> Result<Dataset> {
    let files = Files::of(folder.as_ref(), options.prefix.as_deref())?;
    let images = Extents::Numbering(&[3, 4]);
    let [mut train, mut test] = both(
        || read_split(&files, Split::Train, images, None),
        || read_split(&files, Split::Test, images, None),
    )?;
    let (sample, of_test) = (train.sample(), test.sample());
    if sample != of_test {
        return Err(Error::Data {
            path: files.find(Split::Test, Kind::Images)?.to_owned(),
            expected: format!("images of {sample}, as those to train on"),
            got: of_test.to_string(),
        });
    }
    let sample = match options.transposed {
        true => {
            train.transpose();
            test.transpose();
            train.sample()
        }
        false => sample,
    };

    let labels = || train.labels.iter().chain(&test.labels).copied();
    let least = labels().min().unwrap_or(0);
    let first = options.first_label.unwrap_or(u8::from(least == 1));
    if least < first {
        let expected = format!("labels of at least {first}");
        return Err(Error::value("data set", expected, least));
    }
    let largest = labels().max().unwrap_or(first);
    let classes = options.classes.unwrap_or(usize::from(largest - first) + 1);
    for (split, labels) in [(Split::Train, &train.labels), (Split::Test, &test.labels)] {
        let is_wrong = |&label: &u8| usize::from(label - first) >= classes;
        if let Some(at) = labels.iter().position(is_wrong) {
            return Err(Error::Data {
                path: files.find(split, Kind::Labels)?.to_owned(),
                expected: format!("labels below {}", classes + usize::from(first)),
                got: format!("{} as label {at}", labels[at]),
            });
        }
    }
    Dataset::new(
        sample,
        classes,
        train.into_samples(first),
        test.into_samples(first),
    )
}

/// Loads images and labels of exactly these extents and numbers of classes, under MNIST's names.
pub(super) fn load_exactly(
    folder: &Path,
    [train, test]: [[u32; 3]; 2],
    classes: u16,
) -> Result<Dataset> {
    let files = Files::of(folder, Some(""))?;
    let [train, test] = both(
        || {
            read_split(
                &files,
                Split::Train,
                Extents::Exactly(&train),
                Some(classes),
            )
        },
        || read_split(&files, Split::Test, Extents::Exactly(&test), Some(classes)),
    )?;
    let sample = train.sample();
    let [train, test] = [train.into_samples(0), test.into_samples(0)];
    Dataset::new(sample, classes.into(), train, test)
}

/// Runs both in parallel; returns both results or the first error.
fn both<T: Send>(
    first: impl FnOnce() -> Result<T> + Send,
    second: impl FnOnce() -> Result<T> + Send,
) -> Result<[T; 2]> {
    let (first, second) = rayon::join(first, second);
    Ok([first?, second?])
}

/// One split of a data set as stored in its files.
struct Read {
    images: Idx,
    labels: Vec<u8>,
}

impl Read {
    /// (C, H, W).
    fn sample(&self) -> Shape {
        let extents = self.images.extents[1..].iter();
        let mut dims: Vec<usize> = extents.map(|&extent| extent as usize).collect();
        if dims.len() == 2 {
            dims.insert(0, 1);
        }
        Shape::new(dims)
    }

    /// Swaps rows and columns of each plane.
    fn transpose(&mut self) {
        let Idx { extents, bytes } = &mut self.images;
        let [.., height, width] = extents.as_mut_slice() else {
            return;
        };
        let (rows, columns) = (*height as usize, *width as usize);
        let transpose = |plane: &mut [u8]| {
            let stored = plane.to_vec();
            for (at, value) in plane.iter_mut().enumerate() {
                *value = stored[at % rows * columns + at / rows];
            }
        };
        bytes
            .par_chunks_mut((rows * columns).max(1))
            .for_each(transpose);
        std::mem::swap(height, width);
    }

    fn into_samples(self, first_label: u8) -> Samples {
        let mut labels = self.labels;
        labels.iter_mut().for_each(|label| *label -= first_label);
        Samples {
            images: self.images.bytes,
            labels,
        }
    }
}

fn read_split(
    files: &Files,
    split: Split,
    extents: Extents<'_>,
    classes: Option<u16>,
) -> Result<Read> {
    let images = Expected {
        extents,
        below: 256,
    };
    // A missing file is reported before either is read.
    let (image_file, label_file) = (
        files.find(split, Kind::Images)?,
        files.find(split, Kind::Labels)?,
    );
    let images = read(image_file, images)?;
    let labels = Expected {
        extents: Extents::Exactly(&images.extents[..1]),
        below: classes.unwrap_or(256),
    };
    let labels = read(label_file, labels)?.bytes;
    Ok(Read { images, labels })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Split {
    Train,
    Test,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Images,
    Labels,
}

/// The IDX files of one data set of a folder.
struct Files {
    folder: PathBuf,
    prefix: String,
    found: BTreeMap<(Split, Kind), PathBuf>,
}

impl Files {
    fn of(folder: &Path, prefix: Option<&str>) -> Result<Self> {
        let io = |source| Error::Io {
            path: folder.to_owned(),
            source,
        };
        let mut names = Vec::new();
        match fs::read_dir(folder) {
            Ok(entries) => {
                for entry in entries {
                    names.extend(entry.map_err(io)?.file_name().into_string());
                }
            }
            // The error below names the missing files.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(io(error)),
        }
        names.sort_by_key(|name| (name.ends_with(".gz"), name.clone()));
        let parts: Vec<(Parts<'_>, &String)> = names
            .iter()
            .filter_map(|name| Some((parts_of(name)?, name)))
            .collect();

        let mut prefixes: Vec<&str> = parts.iter().map(|(parts, _)| parts.prefix).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        let prefix = match (prefix, prefixes.as_slice()) {
            (Some(prefix), _) => prefix,
            (None, [] | ["", ..]) => "",
            (None, [only]) => only,
            (None, several) => {
                return Err(Error::Data {
                    path: folder.to_owned(),
                    expected: "one data set, or the prefix of one".to_owned(),
                    got: several.join(", "),
                });
            }
        };
        let mut found = BTreeMap::new();
        for (parts, name) in parts
            .into_iter()
            .filter(|(parts, _)| parts.prefix == prefix)
        {
            let entry = found.entry((parts.split, parts.kind));
            entry.or_insert_with(|| folder.join(name));
        }
        Ok(Files {
            folder: folder.to_owned(),
            prefix: prefix.to_owned(),
            found,
        })
    }

    fn find(&self, split: Split, kind: Kind) -> Result<&Path> {
        if let Some(path) = self.found.get(&(split, kind)) {
            return Ok(path);
        }
        let hyphen = if self.prefix.is_empty() { "" } else { "-" };
        let split = match split {
            Split::Train => "train",
            Split::Test => "t10k",
        };
        let kind = match kind {
            Kind::Images => "images-idx3",
            Kind::Labels => "labels-idx1",
        };
        let name = format!("{}{hyphen}{split}-{kind}-ubyte", self.prefix);
        Err(Error::Data {
            path: self.folder.clone(),
            expected: format!("{name} or {name}.gz"),
            got: "neither".to_owned(),
        })
    }
}

/// The parts of an IDX file's name.
struct Parts<'a> {
    prefix: &'a str,
    split: Split,
    kind: Kind,
}

/// `[prefix-](train|t10k|test)-(images|labels)(-|.)idxN-ubyte[.gz]`.
fn parts_of(name: &str) -> Option<Parts<'_>> {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let name = name.strip_suffix("-ubyte")?;
    let name = name.strip_suffix(|digit: char| digit.is_ascii_digit())?;
    let name = name.strip_suffix("idx")?.strip_suffix(['-', '.'])?;
    let (name, kind) = match name.rsplit_once('-')? {
        (name, "images") => (name, Kind::Images),
        (name, "labels") => (name, Kind::Labels),
        _ => return None,
    };
    let (prefix, split) = name.rsplit_once('-').unwrap_or(("", name));
    let split = match split {
        "train" => Split::Train,
        "t10k" | "test" => Split::Test,
        _ => return None,
    };
    Some(Parts {
        prefix,
        split,
        kind,
    })
}
