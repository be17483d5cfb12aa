//! The files of a folder of pictures.

use std::fs;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::PictureOptions;
use crate::error::{Error, Result};

/// Names of the folder of pictures to train on, if there is one.
const TRAIN: [&str; 1] = ["train"];

/// Names of the folder of pictures to evaluate on; the first that exists is used.
const TEST: [&str; 4] = ["test", "val", "valid", "validation"];

/// Endings of file names that are read as pictures, in any case.
const ENDINGS: [&str; 5] = ["png", "jpg", "jpeg", "bmp", "webp"];

/// Classes that a byte can number.
const MOST_CLASSES: usize = 256;

/// A picture's file and its class.
pub(super) type Labelled = (PathBuf, u8);

/// The pictures to train on and those to evaluate on.
#[derive(Debug)]
pub(super) struct Listing {
    /// The names of the classes, in byte order.
    pub classes: Vec<String>,
    pub train: Vec<Labelled>,
    pub test: Vec<Labelled>,
}

impl Listing {
    /// The pictures below `folder`.
    ///
    /// # Errors
    /// There are no classes, or more than 256; a class has no pictures; the test set has a class
    /// that the training set lacks.
    pub fn new(folder: &Path, options: &PictureOptions) -> Result<Self> {
        let root = first_of(folder, &TRAIN).unwrap_or_else(|| folder.to_owned());
        let own_test = first_of(folder, &TEST).filter(|_| root != folder);
        let classes = classes_of(&root)?;
        let files = files_of(&root, &classes)?;
        let (train, test) = match own_test {
            Some(test) => (files, tests_of(&test, &classes)?),
            None => split(files, classes.len(), options),
        };
        Ok(Listing {
            classes,
            train,
            test,
        })
    }

    /// The number of pictures.
    pub fn len(&self) -> usize {
        self.train.len() + self.test.len()
    }
}

/// The pictures of a folder of its own to evaluate on, by the classes of the training set.
fn tests_of(root: &Path, classes: &[String]) -> Result<Vec<Labelled>> {
    let present = classes_of(root)?;
    if let Some(unknown) = present.iter().find(|name| !classes.contains(name)) {
        return Err(Error::Data {
            path: root.join(unknown),
            expected: "a class of the training set".to_owned(),
            got: "another folder".to_owned(),
        });
    }
    let files = files_of(root, &present)?.into_iter();
    let renumbered = files.map(|(path, class)| {
        let name = &present[usize::from(class)];
        let class = classes.iter().position(|other| other == name);
        (path, class.unwrap_or_default() as u8)
    });
    Ok(renumbered.collect())
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
