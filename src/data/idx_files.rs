//! IDX files that are read while training goes on.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::idx::{header_len, magic};
use super::source::Source;
use crate::error::{Error, Result};
use crate::shape::Shape;
use crate::target::{Array, Element, Target};

/// Images and their labels in two unpacked IDX files of bytes, of any size: samples are read from
/// the files when they are needed, and none is kept.
#[derive(Debug)]
pub struct IdxFiles {
    images: IdxFile,
    labels: IdxFile,
    sample: Shape,
    classes: usize,
}

impl IdxFiles {
    /// Opens `images`, of extents (N, H, W) or (N, C, H, W), and `labels`, (N), below `classes`.
    ///
    /// # Errors
    /// A file cannot be read, is not an IDX file of bytes or has another length than its header
    /// says, or the files differ in number of samples.
    pub fn open(
        images: impl AsRef<Path>,
        labels: impl AsRef<Path>,
        classes: usize,
    ) -> Result<Self> {
        let images = IdxFile::open(images.as_ref(), &[3, 4])?;
        let labels = IdxFile::open(labels.as_ref(), &[1])?;
        if images.extents[0] != labels.extents[0] {
            let expected = format!("{} labels, as images", images.extents[0]);
            return Err(labels.wrong(expected, labels.extents[0].to_string()));
        }
        let mut dims: Vec<usize> = images.extents[1..].to_vec();
        if dims.len() == 2 {
            dims.insert(0, 1);
        }
        Ok(IdxFiles {
            images,
            labels,
            sample: Shape::new(dims),
            classes,
        })
    }
}

impl Source for IdxFiles {
    fn len(&self) -> usize {
        self.images.extents[0]
    }

    fn input(&self) -> Array {
        Array::new(self.sample.clone(), Element::U8)
    }

    fn target(&self) -> Target {
        Target::class(self.classes)
    }

    fn read(&self, samples: &[u32], inputs: &mut [u8], targets: &mut [u8]) -> Result<()> {
        self.images.read(samples, inputs)?;
        self.labels.read(samples, targets)
    }
}

/// An open IDX file of bytes.
#[derive(Debug)]
struct IdxFile {
    path: PathBuf,
    file: Mutex<File>,
    /// The number of items first.
    extents: Vec<usize>,
}

impl IdxFile {
    fn open(path: &Path, numbers: &[usize]) -> Result<Self> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let wrong = |expected: String, got: String| Error::Data {
            path: path.to_owned(),
            expected,
            got,
        };
        let mut file = File::open(path).map_err(io)?;
        let mut header = Vec::new();
        file.by_ref()
            .take(20)
            .read_to_end(&mut header)
            .map_err(io)?;
        let (words, _) = header.as_chunks::<4>();
        let words: Vec<u32> = words
            .iter()
            .map(|&bytes| u32::from_be_bytes(bytes))
            .collect();
        let found = words.first().copied().unwrap_or(0);
        let number = numbers.iter().copied().find(|&n| found == magic(n));
        let number = number
            .filter(|&number| words.len() > number)
            .ok_or_else(|| {
                let expected = format!("an unpacked IDX file of bytes with {numbers:?} extents");
                wrong(expected, format!("magic number {found:#010x}"))
            })?;
        let extents: Vec<usize> = words[1..=number]
            .iter()
            .map(|&word| word as usize)
            .collect();
        let items = extents
            .iter()
            .fold(1u64, |all, &extent| all.saturating_mul(extent as u64));
        let expected = items.saturating_add(header_len(number) as u64);
        let found = file.metadata().map_err(io)?.len();
        if found != expected {
            return Err(wrong(format!("{expected} bytes"), format!("{found} bytes")));
        }
        Ok(IdxFile {
            path: path.to_owned(),
            file: Mutex::new(file),
            extents,
        })
    }

    fn wrong(&self, expected: String, got: String) -> Error {
        Error::Data {
            path: self.path.clone(),
            expected,
            got,
        }
    }

    /// Reads items by number.
    fn read(&self, items: &[u32], into: &mut [u8]) -> Result<()> {
        let len = self.extents[1..].iter().product::<usize>().max(1);
        let first = header_len(self.extents.len()) as u64;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        for (&item, into) in items.iter().zip(into.chunks_exact_mut(len)) {
            let at = SeekFrom::Start(first + u64::from(item) * len as u64);
            let read = file.seek(at).and_then(|_| file.read_exact(into));
            read.map_err(|source| Error::Io {
                path: self.path.clone(),
                source,
            })?;
        }
        Ok(())
    }
}
