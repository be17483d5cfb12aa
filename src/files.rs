//! Files that are never seen half written, and the folder of those that can be made again.

use std::fs::{self, File};
use std::io::{Result, Write};
use std::path::{Path, PathBuf};

/// Writes `bytes` as `temporary`, a file beside `path`, has them on the disk, and renames the file to
/// `path`: at any moment `path` is what it was before or all of `bytes`.
pub fn replace(path: &Path, temporary: &Path, bytes: &[u8]) -> Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let written = (|| {
        let mut file = File::create(temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(temporary, path)
    })();
    if written.is_err() {
        // Half a file is of no use; that it cannot be removed is no new error.
        let _ = fs::remove_file(temporary);
        return written;
    }
    // Only some systems let a folder be opened and synced; on the others the rename has to do.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Where this crate keeps what can be made again: `$XDG_CACHE_HOME`, else `~/.cache`, else the system's.
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
