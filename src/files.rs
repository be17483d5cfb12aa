//! Files that are never seen half written, locks that end with their process, and the folder of
//! what can be made again.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read, Result, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use web_time::Instant;

/// Around the random part of a temporary file's name.
const TEMPORARY: (&str, &str) = (".wgrad-", ".part");

/// How often a temporary file may be taken away before it is an error.
const ATTEMPTS: usize = 100;

/// Between two looks at a lock that another has.
const PAUSE: Duration = Duration::from_millis(10);

/// Writes `bytes` under a temporary name beside `path`, has them on the disk, and renames the file
/// to `path`: at any moment `path` is what it was before or all of `bytes`. Each writer has a name
/// of its own, so that threads and processes may write the same path at once: one of them is the
/// last.
///
/// A link stays, and the file that it leads to is replaced.
///
/// A writer holds a lock on its temporary file. One that nobody holds is of a process that was
/// killed; the next writer of that folder removes it.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let real = match fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
        true => fs::canonicalize(path)?,
        false => path.to_owned(),
    };
    let path = real.as_path();
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    remove_abandoned(folder);
    let mut attempts = 0..ATTEMPTS;
    loop {
        match write_and_rename(folder, path, bytes) {
            // Between its making and its lock, another writer took the file for an abandoned one.
            Err(error) if error.kind() == ErrorKind::NotFound && attempts.next().is_some() => {}
            Err(error) => return Err(error),
            Ok(()) => break,
        }
    }
    // Only some systems let a folder be opened and synced; on the others the rename has to do.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

fn write_and_rename(folder: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    let mut names = tempfile::Builder::new();
    names.prefix(TEMPORARY.0).suffix(TEMPORARY.1);
    // What is not renamed is removed when it is dropped.
    let mut temporary = names.make_in(folder, |path| File::create_new(path))?;
    let file = temporary.as_file_mut();
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Err(ErrorKind::NotFound.into()),
        // Where files cannot be locked, none is taken for abandoned either.
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    file.write_all(bytes)?;
    file.sync_all()?;
    temporary.persist(path)?;
    Ok(())
}

/// Removes the temporary files of writers that are no more. That it cannot is no error of the
/// writer.
fn remove_abandoned(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_temporary = name
            .to_str()
            .is_some_and(|name| name.starts_with(TEMPORARY.0) && name.ends_with(TEMPORARY.1));
        if !is_temporary {
            continue;
        }
        let Ok(file) = File::open(entry.path()) else {
            continue;
        };
        if file.try_lock().is_ok() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A lock on a file, which ends when this is dropped, or with the process, however that ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    /// A child that another thread is just starting has the file open too, until it becomes its
    /// program; closing ours alone would leave it locked so long.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// Why there is no lock.
#[derive(Debug)]
pub enum NoLock {
    /// Another has it: the process of that number, where it can be known.
    InUse(Option<u32>),
    /// The file cannot be made or locked.
    Io(std::io::Error),
}

/// Locks the file `path`, which is made where there is none and stays; waits so long for another
/// that has it.
///
/// Where the file system knows no locks, `Ok(None)`.
pub fn lock(path: &Path, wait: Duration) -> std::result::Result<Option<Lock>, NoLock> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(NoLock::Io)?;
    }
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(path).map_err(NoLock::Io)?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
                return Ok(None);
            }
            Err(TryLockError::Error(error)) => return Err(NoLock::Io(error)),
            Err(TryLockError::WouldBlock) if begun.elapsed() < wait => std::thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let read = file.take(20).read_to_string(&mut text);
                let owner = read.ok().and_then(|_| text.trim().parse().ok());
                return Err(NoLock::InUse(owner));
            }
        }
    }
    // For the error of those who come later; without it they are told that it is another process.
    let _ = file.set_len(0);
    let _ = file.rewind();
    let _ = write!(file, "{}", std::process::id());
    Ok(Some(Lock { file }))
}

/// Where this crate keeps what can be made again: `$XDG_CACHE_HOME`, else `~/.cache`, else the
/// system's.
pub fn cache_folder() -> PathBuf {
    let from_env = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = from_env("XDG_CACHE_HOME")
        .or_else(|| from_env("HOME").map(|home| home.join(".cache")))
        .or_else(|| from_env("LOCALAPPDATA"))
        .unwrap_or_else(std::env::temp_dir);
    base.join("wgrad")
}
