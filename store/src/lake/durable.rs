//! Writing so that it survives a power cut: contents first, then the name, then the folders above it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::error::StoreError;

/// How a temporary file begins and ends; a crash may leave one, and opening removes it.
const TEMPORARY: (&str, &str) = (".", ".tmp");

/// Makes the entries of a folder durable.
pub fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(StoreError::io(dir))
}

/// Makes the contents of the files in a folder durable of whose names `wanted` says so, and then its entries.
pub fn sync_matching(dir: &Path, wanted: impl Fn(&str) -> bool) -> Result<(), StoreError> {
    for entry in fs::read_dir(dir).map_err(StoreError::io(dir))? {
        let entry = entry.map_err(StoreError::io(dir))?;
        if wanted(&entry.file_name().to_string_lossy()) {
            let path = entry.path();
            File::open(&path).and_then(|f| f.sync_all()).map_err(StoreError::io(&path))?;
        }
    }
    sync_dir(dir)
}

/// Makes the entries of `dir` and of each folder above it durable, up to and with `root`.
///
/// Also those that existed before: whoever created them may not have come so far.
pub fn sync_dirs_up_to(root: &Path, dir: &Path) -> Result<(), StoreError> {
    for dir in dir.ancestors().take_while(|d| d.starts_with(root)) {
        sync_dir(dir)?;
    }
    Ok(())
}

/// Creates `path` with `contents`, whole and durable, unless it exists; then nothing is changed and the answer is
/// false. The folder must exist.
///
/// After [`StoreError::Poisoned`] it is there, but may be lost; after any other error it is not there.
pub fn create_new(path: &Path, contents: &[u8]) -> Result<bool, StoreError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let temporary = write_temporary(dir, contents)?;
    // A link fails where a rename would replace.
    let linked = fs::hard_link(&temporary, path);
    // If it stays, the next opening removes it; failing here would deny what the link has done.
    let _ = fs::remove_file(&temporary);
    match linked {
        Ok(()) => sync_dir(dir).map(|()| true).map_err(|e| StoreError::Poisoned(e.to_string())),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(StoreError::io(path)(e)),
    }
}

/// Creates or replaces `path` with `contents`, whole and durable but for the folder's entry.
pub fn replace(path: &Path, contents: &[u8]) -> Result<(), StoreError> {
    let temporary = write_temporary(path.parent().unwrap_or(Path::new(".")), contents)?;
    fs::rename(&temporary, path).map_err(StoreError::io(path))
}

/// Removes what a crash left of unfinished writes.
pub fn remove_temporaries(dir: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(dir).map_err(StoreError::io(dir))? {
        let entry = entry.map_err(StoreError::io(dir))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(TEMPORARY.0) && name.ends_with(TEMPORARY.1) {
            fs::remove_file(entry.path()).map_err(StoreError::io(entry.path()))?;
        }
    }
    Ok(())
}

fn write_temporary(dir: &Path, contents: &[u8]) -> Result<PathBuf, StoreError> {
    let path = dir.join(format!("{}{}{}", TEMPORARY.0, Uuid::new_v4().simple(), TEMPORARY.1));
    let mut file = File::create_new(&path).map_err(StoreError::io(&path))?;
    file.write_all(contents).and_then(|()| file.sync_all()).map_err(StoreError::io(&path))?;
    Ok(path)
}
