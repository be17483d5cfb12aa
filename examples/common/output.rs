//! Files that an example writes: tried before the work that fills them, touched after it.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use wgrad::{Error, Result};

/// A file that is open for writing, and is what it was until there is something to write.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    file: File,
    is_new: bool,
}

impl Output {
    /// Opens the file, or makes an empty one, which goes again if nothing is written.
    ///
    /// # Errors
    /// A path that cannot be written.
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

    /// Makes `bytes` all that the file holds: at once, where its folder takes another file, and in
    /// any case in what is no file, such as a pipe.
    ///
    /// # Errors
    /// The disk's.
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

    /// Empties the file, if it is one.
    ///
    /// # Errors
    /// The disk's.
    pub fn clear(&mut self) -> Result<()> {
        match self.is_file() {
            true => self
                .file
                .set_len(0)
                .map_err(|source| io(&self.path, source)),
            false => Ok(()),
        }
    }

    /// Writes behind what the file holds.
    ///
    /// # Errors
    /// The disk's.
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

    /// A temporary file with this one's permissions in the same folder, if it takes one.
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

    /// The file that a link leads to: it is replaced, not the link.
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
            // An empty file that stays is no error.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether a file at `path` can be written, or replaced by another, as a checkpoint is; makes its
/// folder.
///
/// # Errors
/// A folder that cannot be made or written, or something at `path` that is no file.
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

/// Refuses two outputs, each an option and its path, that are one file.
///
/// # Errors
/// The later option and the file.
pub fn check_apart(outputs: &[(&str, &Path)]) -> Result<()> {
    let real = |path: &Path| {
        let folder = fs::canonicalize(folder(path)).unwrap_or_else(|_| folder(path).to_owned());
        let name = path.file_name().unwrap_or_default();
        fs::canonicalize(path).unwrap_or_else(|_| folder.join(name))
    };
    for (i, (option, path)) in outputs.iter().enumerate() {
        for (other, earlier) in &outputs[..i] {
            // A terminal or a pipe takes what several write.
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
