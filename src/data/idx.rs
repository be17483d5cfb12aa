//! The IDX format of the MNIST files: a magic number, the extents, then bytes. Plain or gzipped.
//!
//! Format: LeCun, Cortes and Burges, *The MNIST database of handwritten digits*.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;

use crate::error::{Error, Result};

/// Maximum bytes of content: a larger data set fits no plan.
const LARGEST: u64 = 1 << 31;

/// Maximum memory reserved for the content before reading it: the header may claim too much.
const AHEAD: u64 = 1 << 26;

/// The first bytes of each gzip member: its magic number and the method, deflate (RFC 1952, 2.3.1).
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];

/// The allowed extents of an IDX file.
#[derive(Debug, Clone, Copy)]
pub enum Extents<'a> {
    /// These, the number of items first.
    Exactly(&'a [u32]),
    /// Any extents, whose number is one of these.
    Numbering(&'a [usize]),
}

/// The expected content of an IDX file of bytes.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Its extents.
    pub extents: Extents<'a>,
    /// Exclusive upper bound of the bytes.
    pub below: u16,
}

/// The content of an IDX file of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idx {
    /// The extents, the number of items first.
    pub extents: Vec<u32>,
    /// The values: the product of the extents in number.
    pub bytes: Vec<u8>,
}

impl Expected<'_> {
    /// The allowed numbers of extents.
    fn numbers(&self) -> Vec<usize> {
        match self.extents {
            Extents::Exactly(extents) => vec![extents.len()],
            Extents::Numbering(numbers) => numbers.to_vec(),
        }
    }
}

/// The magic number: two zeros, 8 for unsigned bytes, the number of extents.
pub(super) fn magic(extents: usize) -> u32 {
    0x0800 | extents as u32
}

/// The bytes before the values.
pub(super) fn header_len(extents: usize) -> usize {
    4 + 4 * extents
}

/// Reads the file at `path`, which is gzipped if its name ends in `.gz`.
///
/// The contents of several gzip members are concatenated; bytes after the last member are ignored,
/// as by gzip.
///
/// # Errors
/// The file cannot be read or unpacked, or an error of [`parse`].
pub fn read(path: &Path, expected: Expected<'_>) -> Result<Idx> {
    let file = File::open(path).map_err(|source| io_error(path, source))?;
    match path.extension().is_some_and(|extension| extension == "gz") {
        true => parse(path, Members::of(file), expected),
        false => parse(path, file, expected),
    }
}

/// Parses `content`, the unpacked content of `path`. Reads it to its end, or to one byte past the
/// length in its header; at most 2 GiB.
///
/// # Errors
/// The first mismatch: length of the header, magic number, extents, length, content.
pub fn parse(path: &Path, mut content: impl Read, expected: Expected<'_>) -> Result<Idx> {
    let wrong = |expected: String, got: String| Error::Data {
        path: path.to_owned(),
        expected,
        got,
    };
    let mut take = |bytes: &mut Vec<u8>, most: u64| {
        let mut content = content.by_ref().take(most);
        let read = content.read_to_end(bytes);
        read.map_err(|error| match is_content(error.kind()) {
            true => wrong("a whole gzip stream".to_owned(), error.to_string()),
            false => io_error(path, error),
        })
    };
    let numbers = expected.numbers();
    let least = numbers.iter().copied().min().unwrap_or(0);
    let mut header = Vec::new();
    let short = |extents: usize, len: usize| {
        let expected = format!("an IDX header of {} bytes", header_len(extents));
        wrong(expected, format!("{len} bytes"))
    };
    take(&mut header, header_len(0) as u64)?;
    if header.len() < header_len(0) {
        return Err(short(least, header.len()));
    }
    let word = |header: &[u8], at: usize| {
        u32::from_be_bytes([0, 1, 2, 3].map(|byte| header[4 * at + byte]))
    };
    let found = word(&header, 0);
    let Some(&number) = numbers.iter().find(|&&number| magic(number) == found) else {
        let magics = numbers
            .iter()
            .map(|&number| format!("{:#010x}", magic(number)));
        let expected = format!("magic number {}", magics.collect::<Vec<_>>().join(" or "));
        return Err(wrong(expected, format!("{found:#010x}")));
    };
    take(&mut header, 4 * number as u64)?;
    if header.len() < header_len(number) {
        return Err(short(number, header.len()));
    }
    let extents: Vec<u32> = (1..=number).map(|at| word(&header, at)).collect();
    match expected.extents {
        Extents::Exactly(expected) if expected != extents => {
            return Err(wrong(
                format!("extents {expected:?}"),
                format!("{extents:?}"),
            ));
        }
        _ => {}
    }
    let product = |product: u64, &extent: &u32| product.saturating_mul(extent.into());
    // With an extent of zero the length is zero, even if the others overflow.
    let len = match extents.contains(&0) {
        true => 0,
        false => extents.iter().fold(1, product),
    };
    if len > LARGEST {
        let got = format!("extents {extents:?}, {len} bytes");
        return Err(wrong(format!("at most {LARGEST} bytes"), got));
    }

    let mut bytes = Vec::new();
    let ahead = bytes.try_reserve_exact(len.min(AHEAD) as usize + 1);
    ahead.map_err(|_| io_error(path, ErrorKind::OutOfMemory.into()))?;
    take(&mut bytes, len + 1)?;
    if bytes.len() as u64 != len {
        let header = header_len(number);
        let got = match bytes.len() as u64 > len {
            true => "more".to_owned(),
            false => format!("{} bytes", header + bytes.len()),
        };
        return Err(wrong(format!("{} bytes", header as u64 + len), got));
    }
    let is_wrong = |&byte: &u8| u16::from(byte) >= expected.below;
    let wrong_at = match expected.below <= u8::MAX.into() {
        true => bytes.iter().position(is_wrong),
        false => None,
    };
    match wrong_at {
        Some(at) => Err(wrong(
            format!("values below {}", expected.below),
            format!("{} in item {at}", bytes[at]),
        )),
        None => Ok(Idx { extents, bytes }),
    }
}

/// Whether an error is about the file's content, not the disk.
fn is_content(kind: ErrorKind) -> bool {
    use ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(kind, InvalidData | InvalidInput | UnexpectedEof)
}

fn io_error(path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        path: path.to_owned(),
        source,
    }
}

/// The concatenated contents of a gzip file's members.
struct Members {
    /// The current member; `None` after an error.
    member: Option<GzDecoder<BufReader<File>>>,
}

impl Members {
    fn of(file: File) -> Self {
        let first = GzDecoder::new(BufReader::new(file));
        Members {
            member: Some(first),
        }
    }
}

impl Read for Members {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            let mut begin = Vec::new();
            let file = member.get_mut();
            file.by_ref()
                .take(GZIP.len() as u64)
                .read_to_end(&mut begin)?;
            file.seek_relative(-(begin.len() as i64))?;
            if begin != GZIP {
                return Ok(0);
            }
            let ended = self.member.take();
            self.member = ended.map(|member| GzDecoder::new(member.into_inner()));
        }
        Ok(0)
    }
}
