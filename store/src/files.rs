//! The file system as a seam: what the log and the small files beside it ask of it, so that tests can inject
//! short writes, a failing fsync, a full disk, and a crash between any two calls.
//!
//! Contract, as POSIX has it: what was written is durable once `sync` on the file returned; that a file exists, was
//! renamed or removed is durable once `sync_dir` on its folder returned; after a failed `sync` nothing is known.

pub mod faulty;

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// An open file that is only appended to.
pub trait Appending: Send + Debug {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was appended durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// See the module's description.
pub trait Files: Send + Sync + Debug {
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Opens a file that must not exist yet.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Appending>>;
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The files in a folder, sorted by name; none where there is no folder.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Cuts a file to `len` bytes, durably.
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()>;
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// The operating system's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsFiles;

impl Appending for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

impl Files for OsFiles {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Appending>> {
        Ok(Box::new(OpenOptions::new().append(true).create_new(true).open(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = match std::fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut paths = entries.map(|e| Ok(e?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.retain(|p| p.is_file());
        paths.sort();
        Ok(paths)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// Replaces a small file as a whole: after a crash there is the old one or the new one, never a mixture.
pub fn replace(files: &dyn Files, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let draft = path.with_extension("draft");
    match files.remove(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(StoreError::Io { path: draft, source: error });
        }
        _ => {}
    }
    let mut file = files.create(&draft).map_err(StoreError::io(&draft))?;
    file.append(bytes).map_err(StoreError::io(&draft))?;
    file.sync().map_err(StoreError::io(&draft))?;
    files.rename(&draft, path).map_err(StoreError::io(path))?;
    files.sync_dir(folder).map_err(StoreError::io(folder))
}
