//! A folder that one training has to itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::files::{self, Lock, NoLock};

/// The file of a folder that is locked. It stays, empty but for the number of the process that had
/// it last.
const NAME: &str = ".lock";

/// Holds a folder, such as that of a run's checkpoints: another [`FolderLock`] of the same folder,
/// in this process or in another, is refused until this one is dropped or its process has ended,
/// however it ended.
///
/// It keeps nobody from reading or writing the folder who does not ask for it. On a file system
/// without locks it holds nothing.
#[derive(Debug)]
pub struct FolderLock {
    folder: PathBuf,
    _lock: Option<Lock>,
}

impl FolderLock {
    /// The file that is locked where `folder` is taken.
    pub fn file(folder: impl AsRef<Path>) -> PathBuf {
        folder.as_ref().join(NAME)
    }

    /// Takes `folder`, which is made where there is none.
    ///
    /// # Errors
    /// [`Error::InUse`] where another has it; a folder that cannot be made or written.
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
