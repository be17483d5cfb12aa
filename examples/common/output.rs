//! Output files of examples: opened before the work that fills them, written after it.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use wgrad::{Error, Result};

/// A file opened for writing, whose content is kept until something is written.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    file: File,
    is_new: bool,
}

impl Output {
    /// Opens the file, or creates an empty one, which is removed if nothing is written.
    ///
    /// # Errors
    /// The path cannot be written.
    pub fn open(path: &Path) -> Result<Self> {
        let mut options = File::options();
        options.append(true);
        let (opened, is_new) = match options.clone().create_new(true).open(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                (options.create(true).open(path), false)
            }
            opened => (opened, true),
        };
        Ok(Output {
            path: path.to_owned(),
            file: opened.map_err(|source| io(path, source))?,
            is_new,
        })
    }

    /// Replaces the content by `bytes`: atomically if the folder allows another file; a pipe or
    /// device is written directly.
    ///
    /// # Errors
    /// An I/O error.
    pub fn replace(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(mut temporary) = self.beside() {
            let written = temporary.write_all(bytes);
            let written = written.and_then(|()| temporary.as_file().sync_all());
            written.map_err(|source| io(&self.path, source))?;
            let target = self.real_path();
            let renamed = temporary.persist(target);
            renamed.map_err(|error| io(&self.path, error.error))?;
            self.is_new = false;
            return Ok(());
        }
        self.clear()?;
        self.append(bytes)
    }

    /// Truncates it, if it is a regular file.
    ///
    /// # Errors
    /// An I/O error.
    pub fn clear(&mut self) -> Result<()> {
        match self.is_file() {
            true => self
                .file
                .set_len(0)
                .map_err(|source| io(&self.path, source)),
            false => Ok(()),
        }
    }

    /// Appends to the content.
    ///
    /// # Errors
    /// An I/O error.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.is_new = false;
        let written = self.file.write_all(bytes);
        written.map_err(|source| io(&self.path, source))
    }

    fn is_file(&self) -> bool {
        self.file
            .metadata()
            .is_ok_and(|metadata| metadata.is_file())
    }

    /// A temporary file in the same folder with the same permissions, if it can be created.
    fn beside(&self) -> Option<tempfile::NamedTempFile> {
        let metadata = self.file.metadata().ok()?;
        let target = self.real_path();
        let mut names = tempfile::Builder::new();
        names.prefix(".").suffix(".part");
        let make = |path: &Path| File::create_new(path);
        let temporary = match metadata.is_file() {
            true => names.make_in(target.parent()?, make).ok()?,
            false => return None,
        };
        let (file, path) = temporary.into_parts();
        file.set_permissions(metadata.permissions()).ok()?;
        Some(tempfile::NamedTempFile::from_parts(file, path))
    }

    /// The target of a link: it is replaced, not the link.
    fn real_path(&self) -> PathBuf {
        fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.is_new
            && self
                .file
                .metadata()
                .is_ok_and(|metadata| metadata.len() == 0)
        {
            // A leftover empty file is not an error.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Checks that the file at `path` can be written or replaced, as a checkpoint is; creates its
/// folder.
///
/// # Errors
/// The folder cannot be created or written, or `path` is not a regular file.
pub fn try_replacing(path: &Path) -> Result<()> {
    if let Some(metadata) = fs::metadata(path).ok().filter(|found| !found.is_file()) {
        let got = match metadata.is_dir() {
            true => "a folder",
            false => "a device or a pipe",
        };
        return Err(Error::Data {
            path: path.to_owned(),
            expected: "a file to write".to_owned(),
            got: got.to_owned(),
        });
    }
    let folder = folder(path);
    if folder.exists() && !folder.is_dir() {
        return Err(Error::Data {
            path: folder.to_owned(),
            expected: "a folder".to_owned(),
            got: "a file".to_owned(),
        });
    }
    let tried = fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
    tried.map(drop).map_err(|source| io(path, source))
}

/// Refuses two outputs, each an option and its path, that are the same file.
///
/// # Errors
/// Names the later option and the file.
pub fn check_apart(outputs: &[(&str, &Path)]) -> Result<()> {
    let real = |path: &Path| {
        let folder = fs::canonicalize(folder(path)).unwrap_or_else(|_| folder(path).to_owned());
        let name = path.file_name().unwrap_or_default();
        fs::canonicalize(path).unwrap_or_else(|_| folder.join(name))
    };
    for (i, (option, path)) in outputs.iter().enumerate() {
        for (other, earlier) in &outputs[..i] {
            // Several outputs may share a terminal or a pipe.
            let is_file = !path.exists() || path.is_file();
            if is_file && real(path) == real(earlier) {
                let expected = format!("another file than {other}");
                return Err(Error::value(*option, expected, path.display()));
            }
        }
    }
    Ok(())
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        path: path.to_owned(),
        source,
    }
}
