//! The file system as a seam: what the log, the lake and the small files beside them ask of it, so that tests can inject
//! short writes, a failing fsync, a full disk, and a crash between any two calls. (The lake asks by way of an object store,
//! see [`crate::home`].)
//!
//! Contract, as POSIX has it. What was done is visible to every later call at once. What was written is durable once
//! `sync` on the file returned; that a file exists, was renamed or removed is durable once `sync_dir` on its folder
//! returned. Before that a crash leaves any part of it, in any order. After a failed `sync` nothing is known: what it
//! should have made durable may be visible and lost all the same, and a later `sync` that succeeds does not change that.
//!
//! Calls block; they are made off the async threads.

pub mod faulty;
mod own;

use std::any::Any;
use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

pub use own::{Older, OwnFile};

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

/// A file or folder, as its own folder lists it.
#[derive(Debug, Clone)]
pub struct Found {
    pub path: PathBuf,
    pub is_folder: bool,
    pub bytes: u64,
    pub modified: SystemTime,
}

/// See the module's description.
pub trait Files: Send + Sync + Debug {
    /// Keeps other processes from a folder for as long as the answer lives; [`io::ErrorKind::WouldBlock`] where one is there.
    fn lock(&self, folder: &Path) -> io::Result<Box<dyn Any + Send + Sync>>;
    /// Makes a folder and those above it, durably; those that exist are left alone.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Opens a file that must not exist yet.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Appending>>;
    /// Opens a file that exists, to be written over from its beginning. It keeps its length and the space that it has.
    fn reuse(&self, path: &Path) -> io::Result<Box<dyn Appending>>;
    /// Whether other processes may write here too, whom no lock keeps away, but only [`Self::seal`]. Nothing is reused then.
    fn is_shared(&self) -> bool {
        false
    }
    /// Ends a file for whoever else may still append to it. False where something was appended just now.
    fn seal(&self, _path: &Path) -> io::Result<bool> {
        Ok(true)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Parts of one file; [`io::ErrorKind::UnexpectedEof`] where it ends before them.
    fn read_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        let bytes = Bytes::from(self.read(path)?);
        let part = |range: &Range<u64>| {
            let is_within = range.start <= range.end && range.end <= bytes.len() as u64;
            is_within.then(|| bytes.slice(range.start as usize..range.end as usize))
        };
        let parts = ranges.iter().map(part).collect::<Option<_>>();
        parts.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
    fn find(&self, path: &Path) -> io::Result<Found>;
    /// What is in a folder, sorted by name; nothing where there is no folder.
    fn entries(&self, folder: &Path) -> io::Result<Vec<Found>>;
    /// The files in a folder, sorted by name; none where there is no folder.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let files = self.entries(folder)?.into_iter().filter(|found| !found.is_folder);
        Ok(files.map(|found| found.path).collect())
    }
    /// Gives a file a second name, which must be free ([`io::ErrorKind::AlreadyExists`]).
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder in which nothing is.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// Writes `bytes` at `offset` of a file that exists and ends it behind them, durably. Bytes that are the same as
    /// before survive a crash on the way.
    fn rewrite_end(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()>;
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Replaces a small file as a whole, durably: after a crash there is the old one or the new one, never a mixture.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let draft = path.with_extension("draft");
        match self.remove(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = self.create(&draft)?;
        file.append(bytes)?;
        file.sync()?;
        self.rename(&draft, path)?;
        self.sync_dir(folder_of(path))
    }
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
    fn lock(&self, folder: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        let path = folder.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        file.try_lock()?;
        Ok(Box::new(file))
    }

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

    fn read_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        let file = File::open(path)?;
        let read = |range: &Range<u64>| {
            let mut bytes = vec![0; usize::try_from(range.end - range.start).map_err(io::Error::other)?];
            file.read_exact_at(&mut bytes, range.start)?;
            Ok(bytes.into())
        };
        ranges.iter().map(read).collect()
    }

    fn find(&self, path: &Path) -> io::Result<Found> {
        let found = std::fs::metadata(path)?;
        Ok(Found {
            path: path.to_owned(),
            is_folder: found.is_dir(),
            bytes: found.len(),
            modified: found.modified()?,
        })
    }

    fn entries(&self, folder: &Path) -> io::Result<Vec<Found>> {
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            match self.find(&entry?.path()) {
                // Gone since.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                entry => found.push(entry?),
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
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
