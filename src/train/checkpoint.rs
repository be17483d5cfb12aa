//! Checkpoints: self-describing safetensors files, replaced atomically and protected by a checksum.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;

use super::convert;
use crate::error::{Error, Result};
use crate::files;
use crate::graph::Graph;
use crate::notices::Notices;
use crate::plan::Element;
use crate::shape::Shape;

/// The metadata key of the checksum of everything else. The prefix is reserved for this crate.
const CHECKSUM: &str = "wgrad.crc32";

/// The metadata key and name of the format: a file with it must have a checksum too.
const FORMAT: (&str, &str) = ("wgrad.format", "wgrad checkpoint 1");

/// The largest file read: far above any model that fits an adapter's default limits.
const LARGEST: u64 = 4 << 30;

/// Named arrays, with metadata of the training that they belong to.
///
/// Parameters have PyTorch's names and layouts for the same `nn.Sequential`: `0.weight`, `0.bias`,
/// `4.weight`, …, so that `load_state_dict` takes them as they are. The state of the optimizer is
/// named `optimizer.velocity.0.weight` and so on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Checkpoint {
    /// The arrays, by name.
    pub tensors: BTreeMap<String, (Shape, Vec<f32>)>,
    /// Arrays of integers, by name: counters that PyTorch keeps among a model's weights, such as
    /// `1.num_batches_tracked`. No layer reads them; they are kept for other programs.
    pub integers: BTreeMap<String, (Shape, Vec<i64>)>,
    /// The trainer's metadata: model, training options, seed, epoch, step. In files of other
    /// programs, their metadata, under any key that does not begin with `wgrad.`.
    pub metadata: BTreeMap<String, String>,
    /// The changes made by loading: arrays of F64 that were rounded. Not saved.
    pub notices: Notices,
}

impl Checkpoint {
    /// The model of a trainer's checkpoint, for one image.
    ///
    /// # Errors
    /// The checkpoint has no model, or one with functions that are not this crate's; or its tensors
    /// do not match the model.
    pub fn graph(&self) -> Result<Graph> {
        let text = self.metadata.get("model").ok_or_else(|| {
            Error::value(
                "checkpoint",
                "the model that it is of",
                "none in its metadata",
            )
        })?;
        let shape_of = |name: &str| {
            let float = self
                .tensors
                .get(name)
                .map(|(shape, _)| (shape.clone(), Element::F32));
            let integer = self.integers.get(name);
            float.or_else(|| Some((integer?.0.clone(), Element::U32)))
        };
        Graph::read(text, 1, shape_of)
    }

    /// The first value that is infinite or NaN: its array, its flat index, and the value.
    pub fn first_not_finite(&self) -> Option<(&str, usize, f32)> {
        self.tensors.iter().find_map(|(name, (_, values))| {
            let at = values.iter().position(|value| !value.is_finite())?;
            Some((name.as_str(), at, values[at]))
        })
    }

    /// Writes the file under a temporary name beside `path`, syncs it, and renames it: at any
    /// moment `path` is the complete old or new file. Values that are not finite are refused:
    /// training cannot continue from them, and the old file may be the last good one.
    ///
    /// # Errors
    /// The file cannot be written, a name or size is invalid in the format, the content exceeds the
    /// 4 GiB that [`Checkpoint::load`] reads, a value is infinite or NaN, or `path` is not a file.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let refuse = |expected: &str, got: String| Error::Data {
            path: path.to_owned(),
            expected: expected.to_owned(),
            got,
        };
        if let Some((name, at, value)) = self.first_not_finite() {
            let got = format!("{value} at {at} of {name}");
            return Err(refuse("finite values to save", got));
        }
        // A rename would replace a device such as /dev/null.
        if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            return Err(refuse("a file to write", "a device or a pipe".to_owned()));
        }
        let mut metadata: HashMap<String, String> = self
            .metadata
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        metadata.insert(CHECKSUM.to_owned(), self.checksum());
        metadata.insert(FORMAT.0.to_owned(), FORMAT.1.to_owned());
        let wrong = |expected: &str, got: String| Error::Data {
            path: path.to_owned(),
            expected: expected.to_owned(),
            got,
        };
        let mut of_both = self.integers.keys();
        if let Some(name) = of_both.find(|name| self.tensors.contains_key(*name)) {
            return Err(wrong(
                "a name of its own for each array",
                format!("{name} twice"),
            ));
        }
        let view =
            |dtype, shape: &Shape, bytes| TensorView::new(dtype, shape.dims().to_vec(), bytes);
        let floats = self.tensors.iter().map(|(name, (shape, values))| {
            view(Dtype::F32, shape, bytemuck::cast_slice(values)).map(|view| (name, view))
        });
        let integers = self.integers.iter().map(|(name, (shape, values))| {
            view(Dtype::I64, shape, bytemuck::cast_slice(values)).map(|view| (name, view))
        });
        let mut bytes = floats
            .chain(integers)
            .collect::<Result<Vec<_>, _>>()
            .and_then(|views| safetensors::serialize(views, Some(metadata)))
            .map_err(|error| wrong("tensors that fit the safetensors format", error.to_string()))?;
        sort_header(&mut bytes);
        if bytes.len() as u64 > LARGEST {
            return Err(wrong("at most 4 GiB", format!("{} bytes", bytes.len())));
        }
        files::replace(path, &bytes).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })
    }

    /// Reads a file, and verifies its checksum if it has one.
    ///
    /// # Errors
    /// The file cannot be read, is not a safetensors file or is damaged, or an array has elements
    /// other than F32, F64, F16, BF16 and I64.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(io)?;
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(io)?;
        let wrong = |expected: &str, got: String| Error::Data {
            path: path.to_owned(),
            expected: expected.to_owned(),
            got,
        };
        if bytes.len() as u64 > LARGEST {
            return Err(wrong("at most 4 GiB", "more".to_owned()));
        }
        Checkpoint::parse(&bytes).map_err(|(expected, got)| wrong(expected, got))
    }

    /// Reads the content of a file, as [`Checkpoint::load`] does.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let parsed = Checkpoint::parse(bytes);
        parsed.map_err(|(expected, got)| Error::value("checkpoint", expected, got))
    }

    /// Parses `bytes`; the error is what was expected and what was found.
    fn parse(bytes: &[u8]) -> std::result::Result<Self, (&'static str, String)> {
        let format = "a safetensors file";
        let file = SafeTensors::deserialize(bytes).map_err(|error| (format, error.to_string()))?;
        let (_, header) =
            SafeTensors::read_metadata(bytes).map_err(|error| (format, error.to_string()))?;
        let mut checkpoint = Checkpoint::default();
        for (name, view) in file.iter() {
            let (name, shape) = (name.to_owned(), Shape::new(view.shape().to_vec()));
            if view.dtype() == Dtype::I64 {
                let values = bytemuck::pod_collect_to_vec(view.data());
                checkpoint.integers.insert(name, (shape, values));
                continue;
            }
            let values = convert::floats(&name, &view, &mut checkpoint.notices)?;
            checkpoint.tensors.insert(name, (shape, values));
        }
        let metadata = header.metadata().iter().flatten();
        checkpoint.metadata = metadata
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let format = checkpoint.metadata.remove(FORMAT.0);
        let written = checkpoint.metadata.remove(CHECKSUM);
        match format {
            // Either key without the other means that one of our files was damaged.
            None if written.is_none() => return Ok(checkpoint),
            Some(format) if format == FORMAT.1 => {}
            other => return Err((FORMAT.1, other.unwrap_or_else(|| "no format".to_owned()))),
        }
        let found = checkpoint.checksum();
        if written.as_ref() != Some(&found) {
            let written = written.unwrap_or_else(|| "none".to_owned());
            let got = format!("{written}, where the content has {found}");
            return Err(("the checksum of its content", got));
        }
        Ok(checkpoint)
    }

    /// CRC-32 of the metadata, except the keys that [`Checkpoint::save`] adds, and of the tensors,
    /// in the order of their names.
    fn checksum(&self) -> String {
        let mut crc = flate2::Crc::new();
        let mut update = |bytes: &[u8]| {
            crc.update(&(bytes.len() as u64).to_le_bytes());
            crc.update(bytes);
        };
        let own = |key: &str| key == CHECKSUM || key == FORMAT.0;
        for (key, value) in self.metadata.iter().filter(|(key, _)| !own(key)) {
            update(key.as_bytes());
            update(value.as_bytes());
        }
        for (name, (shape, values)) in &self.tensors {
            update(name.as_bytes());
            update(shape.to_string().as_bytes());
            update(bytemuck::cast_slice(values));
        }
        for (name, (shape, values)) in &self.integers {
            update(b"I64");
            update(name.as_bytes());
            update(shape.to_string().as_bytes());
            update(bytemuck::cast_slice(values));
        }
        format!("{:08x}", crc.sum())
    }
}

/// Sorts the names in the header of a file, so that equal checkpoints are equal files: safetensors
/// writes the metadata in the order of a hash map. The data does not move.
fn sort_header(file: &mut [u8]) {
    let Some((len, rest)) = file.split_first_chunk_mut::<8>() else {
        return;
    };
    let len = usize::try_from(u64::from_le_bytes(*len)).unwrap_or(usize::MAX);
    let Some(header) = rest.get_mut(..len) else {
        return;
    };
    let names = serde_json::from_slice::<BTreeMap<String, BTreeMap<String, Value>>>(header);
    let sorted = names.and_then(|names| serde_json::to_vec(&names));
    if let Ok(sorted) = &sorted
        && sorted.len() <= header.len()
    {
        let (text, padding) = header.split_at_mut(sorted.len());
        text.copy_from_slice(sorted);
        padding.fill(b' ');
    }
}
