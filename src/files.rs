//! Atomic file replacement, locks that end with their process, and the cache folder.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read, Result, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use web_time::Instant;

/// Prefix and suffix of a temporary file's name, around a random part.
const TEMPORARY: (&str, &str) = (".wgrad-", ".part");

/// How often another writer may remove a temporary file before it is an error.
const ATTEMPTS: usize = 100;

/// The pause between attempts to take a lock.
const PAUSE: Duration = Duration::from_millis(10);

/// Writes `bytes` under a temporary name beside `path`, syncs them, and renames the file to `path`:
/// at any moment `path` is its old content or all of `bytes`. Each writer has its own temporary
/// name, so that threads and processes may write the same path at once: the last one wins.
///
/// A link is kept, and its target is replaced.
///
/// A writer locks its temporary file. An unlocked one belongs to a process that was killed; the
/// next writer of that folder removes it.
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
            // Before it was locked, another writer removed the file as abandoned.
            Err(error) if error.kind() == ErrorKind::NotFound && attempts.next().is_some() => {}
            Err(error) => return Err(error),
            Ok(()) => break,
        }
    }
    // Only some systems allow syncing a folder; on the others the rename must suffice.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

fn write_and_rename(folder: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    let mut names = tempfile::Builder::new();
    names.prefix(TEMPORARY.0).suffix(TEMPORARY.1);
    // Removed when dropped, unless renamed.
    let mut temporary = names.make_in(folder, |path| File::create_new(path))?;
    let file = temporary.as_file_mut();
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Err(ErrorKind::NotFound.into()),
        // If files cannot be locked, none counts as abandoned either.
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    file.write_all(bytes)?;
    file.sync_all()?;
    temporary.persist(path)?;
    Ok(())
}

/// Removes the temporary files of killed writers. Failures are ignored.
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

/// A lock on a file, released when dropped or when the process ends in any way.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    /// Unlocks explicitly: a child process that another thread is starting inherits the file until
    /// it executes its program, and closing only our handle would leave it locked until then.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// The reason why a lock was not taken.
#[derive(Debug)]
pub enum NoLock {
    /// Another process holds it, with this id if known.
    InUse(Option<u32>),
    /// The file cannot be created or locked.
    Io(std::io::Error),
}

/// Locks the file `path`, which is created if necessary and kept; waits up to `wait` for another
/// holder.
///
/// `Ok(None)` if the file system has no locks.
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
    // For the error of later callers, which otherwise names no process id.
    let _ = file.set_len(0);
    let _ = file.rewind();
    let _ = write!(file, "{}", std::process::id());
    Ok(Some(Lock { file }))
}

/// The folder of this crate's cache: in `$XDG_CACHE_HOME`, else `~/.cache`, else the system's cache
/// folder.
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
