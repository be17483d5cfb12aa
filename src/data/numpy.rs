//! NumPy's arrays: pairs of `.npy` files, and `.npz` archives.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use npyz::{DType, NpyFile, Order, TypeChar};

use super::arrays::{Arrays, Values};
use crate::error::{Error, Result};

/// What a problem is: what was expected, and what was found.
type Problem = (&'static str, String);

/// An array: its extents, and its values.
type Found = (Vec<usize>, Values);

/// Loads samples from `inputs`, an array (N, …) of bytes or floats, and their targets from
/// `targets`, an array (N, …) too: bytes or integers are classes, the largest being the last; floats
/// are numbers to learn. Without targets the samples are their own.
///
/// # Errors
/// A file cannot be read, is no array of `|u1`, `<f4`, `<f8` or integers in C order, or the two
/// differ in number of samples.
pub fn load_npy(inputs: impl AsRef<Path>, targets: Option<&Path>) -> Result<Arrays> {
    let read = |path: &Path| {
        let file = File::open(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        array(BufReader::new(file)).map_err(|problem| wrong(path, "", problem))
    };
    let inputs = read(inputs.as_ref())?;
    let targets = targets.map(read).transpose()?;
    samples(inputs, targets)
}

/// Loads samples and targets, as [`load_npy`] does, from the arrays of an archive of those names:
/// `["x_train", "y_train"]`, for example.
///
/// # Errors
/// As [`load_npy`]; or the archive lacks an array.
pub fn load_npz(path: impl AsRef<Path>, [inputs, targets]: [&str; 2]) -> Result<Arrays> {
    let path = path.as_ref();
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(io)?;
    let archive = zip::ZipArchive::new(BufReader::new(file));
    let mut archive =
        archive.map_err(|error| wrong(path, "", ("an archive of arrays", error.to_string())))?;
    let mut read = |name: &str| {
        let names = archive
            .file_names()
            .filter_map(|name| Some(name.ok()?.into_owned()));
        let names: Vec<String> = names.collect();
        let entry = archive.by_name(&format!("{name}.npy"));
        let entry = entry.map_err(|_| Error::Data {
            path: path.to_owned(),
            expected: format!("an array `{name}`"),
            got: names.join(", "),
        })?;
        array(entry).map_err(|problem| wrong(path, name, problem))
    };
    let inputs = read(inputs)?;
    let targets = read(targets)?;
    samples(inputs, Some(targets))
}

fn wrong(path: &Path, name: &str, (expected, got): Problem) -> Error {
    Error::Data {
        path: path.join(name),
        expected: expected.to_owned(),
        got,
    }
}

fn samples((extents, inputs): Found, targets: Option<Found>) -> Result<Arrays> {
    let shape = |extents: &[usize]| extents.get(1..).unwrap_or_default().to_vec();
    let count = extents.first().copied().unwrap_or(0);
    let arrays = Arrays::new(&*shape(&extents), inputs)?;
    let Some((target_extents, targets)) = targets else {
        return Ok(arrays);
    };
    let found = target_extents.first().copied().unwrap_or(0);
    if found != count {
        let expected = format!("{count} targets, as inputs");
        return Err(Error::value("targets", expected, found));
    }
    // A column of classes is a class for each sample.
    let own = match &shape(&target_extents)[..] {
        [1] if targets.largest().is_some() => Vec::new(),
        own => own.to_vec(),
    };
    match targets.largest() {
        Some(largest) => arrays.classes(&*own, targets, largest as usize + 1),
        None => arrays.numbers(&*own, targets),
    }
}

/// Reads an array.
fn array(reader: impl Read) -> Result<Found, Problem> {
    const EXPECTED: &str = "an array of bytes, integers or floats in C order";
    let refuse = |got: String| (EXPECTED, got);
    let file = NpyFile::new(reader).map_err(|error| refuse(error.to_string()))?;
    let (dtype, order) = (file.dtype(), file.order());
    let extents: Vec<usize> = file.shape().iter().map(|&extent| extent as usize).collect();
    if order != Order::C && extents.len() > 1 {
        return Err(refuse("one in Fortran order".to_owned()));
    }
    let DType::Plain(plain) = &dtype else {
        return Err(refuse(dtype.descr()));
    };
    let failed = |error: std::io::Error| refuse(error.to_string());
    let values = match (plain.type_char(), plain.size_field()) {
        (TypeChar::Uint, 1) => Values::Bytes(file.into_vec().map_err(failed)?),
        (TypeChar::Float, 4) => Values::Floats(file.into_vec().map_err(failed)?),
        (TypeChar::Float, 8) => {
            let values = file.into_vec::<f64>().map_err(failed)?;
            Values::Floats(values.into_iter().map(|value| value as f32).collect())
        }
        (TypeChar::Int, 1) => integers(file.into_vec::<i8>().map_err(failed)?)?,
        (TypeChar::Int, 2) => integers(file.into_vec::<i16>().map_err(failed)?)?,
        (TypeChar::Int, 4) => integers(file.into_vec::<i32>().map_err(failed)?)?,
        (TypeChar::Int, 8) => integers(file.into_vec::<i64>().map_err(failed)?)?,
        (TypeChar::Uint, 2) => integers(file.into_vec::<u16>().map_err(failed)?)?,
        (TypeChar::Uint, 4) => integers(file.into_vec::<u32>().map_err(failed)?)?,
        (TypeChar::Uint, 8) => integers(file.into_vec::<u64>().map_err(failed)?)?,
        _ => return Err(refuse(dtype.descr())),
    };
    Ok((extents, values))
}

/// Classes: integers from 0 to 2³² − 1.
fn integers<T: TryInto<u32> + Copy + std::fmt::Display>(values: Vec<T>) -> Result<Values, Problem> {
    let words = values.iter().map(|&value| {
        let got = || ("integers from 0 to 4294967295", value.to_string());
        value.try_into().map_err(|_| got())
    });
    Ok(Values::Integers(words.collect::<Result<_, _>>()?))
}
