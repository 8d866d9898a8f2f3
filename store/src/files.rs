//! The file system as a seam: what the log and the small files beside it ask of it, so that tests can inject
//! short writes, a failing fsync, a full disk, and a crash between any two calls.
//!
//! Contract, as POSIX has it. What was done is visible to every later call at once. What was written is durable once
//! `sync` on the file returned; that a file exists, was renamed or removed is durable once `sync_dir` on its folder
//! returned. Before that a crash leaves any part of it, in any order. After a failed `sync` nothing is known: what it
//! should have made durable may be visible and lost all the same, and a later `sync` that succeeds does not change that.
//!
//! Calls block; they are made off the async threads.

pub mod faulty;

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::error::StoreError;

/// An open file that is written from its beginning on, one piece behind the other.
pub trait Appending: Send + Debug {
    /// Sets space aside for `bytes` bytes, so that a full disk is met now and not half-way through a write. The
    /// file's length stays as it is. Where the file system cannot, nothing happens.
    fn reserve(&mut self, bytes: u64) -> io::Result<()>;
    /// Writes all of it, or fails with any part of it written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was appended durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Ends the file behind what was appended, durably: what it held before it was reused goes.
    fn cut(&mut self) -> io::Result<()>;
}

/// See the module's description.
pub trait Files: Send + Sync + Debug {
    /// Makes a folder and those above it, durably; those that exist are left alone.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Opens a file that must not exist yet.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Appending>>;
    /// Opens a file that exists, to be written over from its beginning. It keeps its length and the space that it has.
    fn reuse(&self, path: &Path) -> io::Result<Box<dyn Appending>>;
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The files in a folder, sorted by name; none where there is no folder.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Writes `bytes` at `offset` of a file that exists and ends it behind them, durably. Bytes that are the same as
    /// before survive a crash on the way.
    fn rewrite_end(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()>;
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// The operating system's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsFiles;

impl Appending for File {
    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        match fallocate(&*self, FallocateFlags::KEEP_SIZE, 0, bytes) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            done => Ok(done?),
        }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self) -> io::Result<()> {
        let end = self.stream_position()?;
        self.set_len(end)?;
        self.sync_all()
    }
}

impl Files for OsFiles {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() || path.is_dir() {
            return Ok(());
        }
        let parent = folder_of(path);
        self.create_dir_all(parent)?;
        match std::fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => self.sync_dir(parent),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Appending>> {
        Ok(Box::new(OpenOptions::new().write(true).create_new(true).open(path)?))
    }

    fn reuse(&self, path: &Path) -> io::Result<Box<dyn Appending>> {
        Ok(Box::new(OpenOptions::new().write(true).open(path)?))
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

    fn rewrite_end(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)?;
        file.set_len(offset + bytes.len() as u64)?;
        file.sync_all()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// The folder that a file or folder is in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Replaces a small file as a whole: after a crash there is the old one or the new one, never a mixture.
pub fn replace(files: &dyn Files, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let folder = folder_of(path);
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
