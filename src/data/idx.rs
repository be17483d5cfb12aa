//! The IDX format of the MNIST files: a magic number, the extents, then bytes. Plain or gzipped.
//!
//! Format: LeCun, Cortes and Burges, *The MNIST database of handwritten digits*.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::CrcReader;
use flate2::read::GzDecoder;

use crate::error::{Error, Result};
use crate::files;

/// Bytes that are checked at a time.
const CHUNK: usize = 1 << 16;

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

/// Checks that `content`, of `path` and unpacked, is the IDX file expected. Reads it to its end, or to one byte
/// past what is expected.
///
/// # Errors
/// What is wrong first: length of the header, magic number, extents, length, content.
pub fn validate(path: &Path, content: impl Read, expected: Expected<'_>) -> Result<()> {
    let wrong = |expected: String, got: String| {
        Err(Error::Data {
            path: path.to_owned(),
            expected,
            got,
        })
    };
    let mut content = content.take(expected.file_len() as u64 + 1);
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut read = |chunk: &mut Vec<u8>, most: usize| {
        chunk.clear();
        let read = content.by_ref().take(most as u64).read_to_end(chunk);
        read.map_err(|source| io_error(path, source))
    };
    let header = expected.header_len();
    if read(&mut chunk, header)? < header {
        return wrong(
            format!("an IDX header of {header} bytes"),
            format!("{} bytes", chunk.len()),
        );
    }
    let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|i| chunk[4 * at + i]));
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
    let (mut len, mut first_wrong) = (header, None);
    while read(&mut chunk, CHUNK)? > 0 {
        let mut bytes = chunk.iter().enumerate();
        let is_wrong = |&(_, &byte): &(usize, &u8)| u16::from(byte) >= expected.below;
        if first_wrong.is_none() && expected.below < 256 {
            first_wrong = bytes
                .find(is_wrong)
                .map(|(at, &byte)| (len - header + at, byte));
        }
        len += chunk.len();
    }
    if len != expected.file_len() {
        let got = match len > expected.file_len() {
            true => "more".to_owned(),
            false => format!("{len} bytes"),
        };
        return wrong(format!("{} bytes", expected.file_len()), got);
    }
    match first_wrong {
        Some((at, byte)) => wrong(
            format!("values below {}", expected.below),
            format!("{byte} in item {at}"),
        ),
        None => Ok(()),
    }
}

/// A plain, valid IDX file for `name` in `folder`: `name` itself, or `name.gz` unpacked into
/// `cache`, unless it was before. Reads at most the size expected and one byte, whatever a file claims.
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
        validate(&plain, open(&plain)?, expected)?;
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
    let unpacked = cache.join(name);
    if !is_content_of(&unpacked, &packed, expected).unwrap_or(false) {
        let bytes = unpack(&packed, expected)?;
        validate(&packed, bytes.as_slice(), expected)?;
        write_whole(&unpacked, &bytes)?;
    }
    Ok(unpacked)
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|source| io_error(path, source))
}

fn unpack(path: &Path, expected: Expected<'_>) -> Result<Vec<u8>> {
    let limit = expected.file_len() as u64 + 1;
    let mut bytes = Vec::with_capacity(limit as usize);
    let unpacked = GzDecoder::new(open(path)?);
    match unpacked.take(limit).read_to_end(&mut bytes) {
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

/// Whether `unpacked` is valid, and what the gzip file says of its content: to unpack it again takes longer.
fn is_content_of(unpacked: &Path, packed: &Path, expected: Expected<'_>) -> Result<bool> {
    let mut content = CrcReader::new(open(unpacked)?);
    validate(unpacked, &mut content, expected)?;
    let trailer = gzip_trailer(packed).map_err(|source| io_error(packed, source))?;
    Ok(trailer == [content.crc().sum(), content.crc().amount()])
}

/// The CRC-32 and the length of a gzip file's content, its last eight bytes (RFC 1952, 2.3.1).
fn gzip_trailer(path: &Path) -> std::io::Result<[u32; 2]> {
    let (mut file, mut end) = (File::open(path)?, [[0; 4]; 2]);
    file.seek(SeekFrom::End(-8))?;
    file.read_exact(end.as_flattened_mut())?;
    Ok(end.map(u32::from_le_bytes))
}

/// Writes a file that threads or processes may write at the same time.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    files::replace(path, bytes).map_err(|source| io_error(path, source))
}

fn io_error(path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        path: path.to_owned(),
        source,
    }
}
