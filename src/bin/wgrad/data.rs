//! The data set that `--data` names: its kind is told by its files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use serde::{Serialize, Serializer};
use wgrad::data::{
    CifarLabels, Data, Dataset, IdxOptions, PictureOptions, Target, load_cifar10, load_cifar100,
    load_idx, load_npz, load_pictures,
};
use wgrad::shape::Shape;
use wgrad::{Error, Result};

use crate::common;

#[derive(Debug, Clone, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DataArgs {
    /// The data set: a folder of pictures by class, with or without train/ and test/ (or val/); a
    /// folder of IDX or CIFAR's binary files; or an .npz file with x_train, y_train, x_test, y_test
    #[arg(long, value_name = "PATH")]
    pub data: PathBuf,
    /// Height and width that pictures are scaled and cropped to [default: the model's]
    #[arg(long, value_name = "N or HxW")]
    pub size: Option<Size>,
    /// Read pictures as grey
    #[arg(long)]
    pub grey: bool,
    /// Fraction of each class to test on, if there is no folder test/ or val/
    #[arg(long, value_name = "F", default_value_t = 0.1)]
    pub test_fraction: f64,
}

/// Height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub [usize; 2]);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (height, width) = text.split_once(['x', '×']).unwrap_or((text, text));
        match (height.parse(), width.parse()) {
            (Ok(height), Ok(width)) if height > 0 && width > 0 => Ok(Size([height, width])),
            _ => Err("expected a number of pixels, or height x width, as 32 or 24x32".to_owned()),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.0[0], self.0[1])
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A data set of labelled images.
pub struct Loaded {
    pub data: Data,
    /// The names of the classes.
    pub classes: Vec<String>,
}

impl Loaded {
    /// The shape of a sample.
    pub fn sample(&self) -> Shape {
        self.data.train().input().shape
    }
}

impl DataArgs {
    /// Loads the data set; pictures get `size`, unless `--size` names one. `seed` draws the test
    /// set, if there is none.
    ///
    /// # Errors
    /// There is no such data set, or it cannot be read.
    pub fn load(&self, size: Option<[usize; 2]>, seed: u64) -> Result<Loaded> {
        let path = self.data.as_path();
        let is_pictures = matches!(kind(path)?, Kind::Pictures);
        if !is_pictures && self.size.is_some() {
            let got = path.display();
            return Err(Error::value("--size", "a folder of pictures to scale", got));
        }
        match kind(path)? {
            Kind::Idx => Ok(numbered(load_idx(path, &IdxOptions::default())?)),
            Kind::Cifar10 => named(load_cifar10(path)?, &path.join("batches.meta.txt")),
            Kind::Cifar100 => {
                let data = load_cifar100(path, CifarLabels::Fine)?;
                named(data, &path.join("fine_label_names.txt"))
            }
            Kind::Npz => archive(path),
            Kind::Pictures => self.pictures(size, seed),
        }
    }

    fn pictures(&self, size: Option<[usize; 2]>, seed: u64) -> Result<Loaded> {
        let options = PictureOptions::new().grey(self.grey);
        let mut options = options.test_fraction(self.test_fraction, seed);
        if let Some(size) = self.size.map(|size| size.0).or(size) {
            options = options.size(size);
        }
        let bar = common::progress_bar("Pictures", 0);
        let pictures = load_pictures(&self.data, &options, |done, total| {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        });
        bar.finish_and_clear();
        let pictures = pictures?;
        Ok(Loaded {
            data: (&pictures.dataset).into(),
            classes: pictures.classes,
        })
    }
}

/// The options that read a picture as a model's sample; `what` needs it.
///
/// # Errors
/// The model's samples are neither grey nor in colour.
pub fn picture_options(sample: &Shape, what: &str) -> Result<PictureOptions> {
    match *sample.dims() {
        [channels @ (1 | 3), height, width] => Ok(PictureOptions::new()
            .size([height, width])
            .grey(channels == 1)),
        _ => {
            let expected = "a model of grey or colour pictures";
            Err(Error::value(what, expected, sample))
        }
    }
}

enum Kind {
    Idx,
    Cifar10,
    Cifar100,
    Npz,
    Pictures,
}

/// # Errors
/// There is neither such a folder nor such an archive.
fn kind(path: &Path) -> Result<Kind> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(_) if path.extension().is_some_and(|end| end == "npz") && path.is_file() => {
            return Ok(Kind::Npz);
        }
        Err(_) if path.is_file() => {
            let expected = "a folder, or a file that ends in .npz";
            return Err(Error::value("--data", expected, path.display()));
        }
        Err(source) => {
            return Err(Error::Io {
                path: path.to_owned(),
                source,
            });
        }
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let names: Vec<String> = names.collect();
    let has = |name: &str| names.iter().any(|other| other == name);
    let is_idx = |name: &String| name.contains("idx") && name.contains("ubyte");
    Ok(match () {
        () if names.iter().any(is_idx) => Kind::Idx,
        () if has("data_batch_1.bin") => Kind::Cifar10,
        () if has("train.bin") && has("test.bin") => Kind::Cifar100,
        () => Kind::Pictures,
    })
}

/// Classes that are called by their numbers.
fn numbered(data: Dataset) -> Loaded {
    Loaded {
        classes: (0..data.classes).map(|class| class.to_string()).collect(),
        data: (&data).into(),
    }
}

/// Classes that are called as the lines of a file, if it exists.
fn named(data: Dataset, names: &Path) -> Result<Loaded> {
    let loaded = numbered(data);
    let Ok(text) = std::fs::read_to_string(names) else {
        return Ok(loaded);
    };
    let names = text.lines().filter(|line| !line.trim().is_empty());
    let names: Vec<String> = names.map(|line| line.trim().to_owned()).collect();
    match names.len() == loaded.classes.len() {
        true => Ok(Loaded {
            classes: names,
            ..loaded
        }),
        false => Ok(loaded),
    }
}

fn archive(path: &Path) -> Result<Loaded> {
    let train = load_npz(path, ["x_train", "y_train"])?;
    let test = load_npz(path, ["x_test", "y_test"])?;
    let data = Data::new(train).test(test);
    match data.train().target() {
        Target::Classes(array, classes) if array.shape.elements() == 1 => Ok(Loaded {
            classes: (0..classes).map(|class| class.to_string()).collect(),
            data,
        }),
        target => Err(Error::Data {
            path: path.to_owned(),
            expected: "an integer for each image in y_train".to_owned(),
            got: target.to_string(),
        }),
    }
}
