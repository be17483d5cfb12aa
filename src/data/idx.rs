//! The IDX format of the MNIST files: a magic number, the extents, then bytes. Plain or gzipped.
//!
//! Format: LeCun, Cortes and Burges, *The MNIST database of handwritten digits*.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use flate2::read::GzDecoder;

use crate::error::{Error, Result};
use crate::files;

/// What an IDX file of bytes must hold.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The extents, the number of items first.
    pub dims: &'a [u32],
    /// Bytes of the content lie below this.
    pub below: u16,
}

impl Expected<'_> {
    /// The magic number: two zeros, 8 for unsigned bytes, the number of extents.
    fn magic(&self) -> u32 {
        0x0800 | self.dims.len() as u32
    }

    fn header_len(&self) -> usize {
        4 + 4 * self.dims.len()
    }

    fn file_len(&self) -> usize {
        self.header_len() + self.dims.iter().map(|&dim| dim as usize).product::<usize>()
    }
}

/// Checks that `bytes`, the unpacked content of `path`, is the IDX file expected.
///
/// # Errors
/// What is wrong first: length of the header, magic number, extents, length, content.
pub fn validate(path: &Path, bytes: &[u8], expected: Expected<'_>) -> Result<()> {
    let wrong = |expected: String, got: String| {
        Err(Error::Data {
            path: path.to_owned(),
            expected,
            got,
        })
    };
    let header = expected.header_len();
    if bytes.len() < header {
        return wrong(
            format!("an IDX header of {header} bytes"),
            format!("{} bytes", bytes.len()),
        );
    }
    let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|i| bytes[4 * at + i]));
    if word(0) != expected.magic() {
        return wrong(
            format!("magic number {:#010x}", expected.magic()),
            format!("{:#010x}", word(0)),
        );
    }
    let dims: Vec<u32> = (1..=expected.dims.len()).map(word).collect();
    if dims != expected.dims {
        return wrong(format!("extents {:?}", expected.dims), format!("{dims:?}"));
    }
    if bytes.len() != expected.file_len() {
        let got = match bytes.len() > expected.file_len() {
            true => "more".to_owned(),
            false => format!("{} bytes", bytes.len()),
        };
        return wrong(format!("{} bytes", expected.file_len()), got);
    }
    let content = &bytes[header..];
    if let Some(at) = content
        .iter()
        .position(|&byte| u16::from(byte) >= expected.below)
    {
        return wrong(
            format!("values below {}", expected.below),
            format!("{} in item {at}", content[at]),
        );
    }
    Ok(())
}

/// A plain, valid IDX file for `name` in `folder`: `name` itself, or `name.gz` unpacked into
/// `cache`. Reads at most the size expected and one byte, whatever a file claims.
///
/// # Errors
/// Neither file exists, one cannot be read or unpacked, its content is not the one expected, or the
/// cache cannot be written.
pub fn plain_file(
    folder: &Path,
    name: &str,
    cache: &Path,
    expected: Expected<'_>,
) -> Result<PathBuf> {
    let plain = folder.join(name);
    if plain.exists() {
        let bytes = read_bounded(&plain, open(&plain)?, expected)?;
        validate(&plain, &bytes, expected)?;
        return Ok(plain);
    }
    let packed = folder.join(format!("{name}.gz"));
    if !packed.exists() {
        return Err(Error::Data {
            path: folder.to_owned(),
            expected: format!("{name} or {name}.gz"),
            got: "neither".to_owned(),
        });
    }
    let bytes = read_bounded(&packed, GzDecoder::new(open(&packed)?), expected)?;
    validate(&packed, &bytes, expected)?;
    let unpacked = cache.join(name);
    if !holds(&unpacked, &bytes) {
        write_whole(&unpacked, &bytes)?;
    }
    Ok(unpacked)
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|source| io_error(path, source))
}

fn read_bounded(path: &Path, reader: impl Read, expected: Expected<'_>) -> Result<Vec<u8>> {
    let limit = expected.file_len() as u64 + 1;
    let mut bytes = Vec::with_capacity(limit as usize);
    match reader.take(limit).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) if is_content(error.kind()) => Err(Error::Data {
            path: path.to_owned(),
            expected: "a whole gzip stream".to_owned(),
            got: error.to_string(),
        }),
        Err(error) => Err(io_error(path, error)),
    }
}

/// Whether an error speaks of what a file holds, and not of the disk that holds it.
fn is_content(kind: ErrorKind) -> bool {
    use ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(kind, InvalidData | InvalidInput | UnexpectedEof)
}

fn holds(path: &Path, bytes: &[u8]) -> bool {
    std::fs::read(path).is_ok_and(|found| found == bytes)
}

/// Writes a file that threads or processes may write at the same time.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    static WRITERS: AtomicU32 = AtomicU32::new(0);
    let writer = WRITERS.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_extension(format!("{}-{writer}.part", std::process::id()));
    files::replace(path, &temporary, bytes).map_err(|source| io_error(path, source))
}

fn io_error(path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        path: path.to_owned(),
        source,
    }
}
