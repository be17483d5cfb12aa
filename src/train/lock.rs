//! An exclusive lock on a run's folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::files::{self, Lock, NoLock};

/// The lock file of a folder. It is kept, and holds only the id of the last process that locked it.
const NAME: &str = ".lock";

/// Locks a folder, such as that of a run's checkpoints: another [`FolderLock`] of the same folder,
/// in this process or another, is refused until this one is dropped or its process ends, in any
/// way.
///
/// The lock is advisory: it does not prevent reading or writing the folder. On a file system
/// without locks it has no effect.
#[derive(Debug)]
pub struct FolderLock {
    folder: PathBuf,
    _lock: Option<Lock>,
}

impl FolderLock {
    /// The lock file of `folder`.
    pub fn file(folder: impl AsRef<Path>) -> PathBuf {
        folder.as_ref().join(NAME)
    }

    /// Locks `folder`, which is created if it does not exist.
    ///
    /// # Errors
    /// [`Error::InUse`] if another holds the lock; or the folder cannot be created or written.
    pub fn take(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        match files::lock(&FolderLock::file(folder), Duration::ZERO) {
            Ok(lock) => Ok(FolderLock {
                folder: folder.to_owned(),
                _lock: lock,
            }),
            Err(NoLock::InUse(owner)) => Err(Error::InUse {
                path: folder.to_owned(),
                by: match owner {
                    Some(id) if id == std::process::id() => "this process".to_owned(),
                    Some(id) => format!("process {id}"),
                    None => "another process".to_owned(),
                },
            }),
            Err(NoLock::Io(source)) => Err(Error::Io {
                path: folder.to_owned(),
                source,
            }),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
