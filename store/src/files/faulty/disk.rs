//! What the disk holds, what the process sees, and what lies between the two.

mod change;
mod power;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::{Fault, Restart};
use crate::files::{Found, folder_of};
pub use change::Change;
use change::{Entry, Inode};

/// What a disk was before each operation that changed it.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    pub mark: Arc<AtomicU64>,
    /// Each with the mark of then.
    pub moments: Vec<(Disk, u64)>,
}

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    pub operations: u64,
    pub fault: Option<(u64, Fault)>,
    /// Nothing gets more space, until there is some again.
    pub is_full: bool,
    /// How often the process started: a file that was opened in an earlier life is closed.
    pub life: u64,
    dead: bool,
    random: u64,
    inodes: Vec<Inode>,
    folders: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    unsynced: Vec<Entry>,
    pub recording: Option<Recording>,
}

impl Disk {
    pub fn new(seed: u64) -> Self {
        Self { random: seed, ..Self::default() }
    }

    /// Counts an operation, and answers what goes wrong with it.
    pub fn step(&mut self) -> io::Result<Option<Fault>> {
        if self.dead {
            return Err(io::Error::other("the process died"));
        }
        let operation = self.operations;
        self.operations += 1;
        match self.fault {
            Some((at, Fault::Crash)) if at == operation => {
                self.dead = true;
                Err(io::Error::other("the process died"))
            }
            Some((at, fault)) if at == operation => Ok(Some(fault)),
            _ => Ok(None),
        }
    }

    pub fn step_that_needs_space(&mut self) -> io::Result<()> {
        match self.step()? {
            Some(Fault::Full) => Err(io::ErrorKind::StorageFull.into()),
            _ if self.is_full => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    pub fn reserve(&mut self, inode: usize, bytes: u64) -> io::Result<()> {
        self.step_that_needs_space()?;
        self.inodes[inode].reserved = usize::try_from(bytes).unwrap_or(usize::MAX);
        Ok(())
    }

    /// Before a change.
    pub fn keep(&mut self) {
        if let Some(mut recording) = self.recording.take() {
            recording.moments.push((self.clone(), recording.mark.load(Ordering::Acquire)));
            self.recording = Some(recording);
        }
    }

    pub fn all(&self) -> Vec<PathBuf> {
        self.names.keys().cloned().collect()
    }

    pub fn change(&mut self, inode: usize, change: Change) {
        self.keep();
        let inode = &mut self.inodes[inode];
        change.apply(&mut inode.seen);
        inode.unsynced.push(change);
    }

    pub fn write(&mut self, inode: usize, at: usize, bytes: &[u8]) -> io::Result<()> {
        let (part, done) = match self.step()? {
            Some(Fault::ShortWrite) => (self.below(bytes.len()), Err(io::Error::other("input/output error"))),
            Some(Fault::Full) => (self.below(bytes.len()), Err(io::ErrorKind::StorageFull.into())),
            _ if self.is_full && at + bytes.len() > self.inodes[inode].reserved => {
                (self.below(bytes.len()), Err(io::ErrorKind::StorageFull.into()))
            }
            _ => (bytes.len(), Ok(())),
        };
        self.change(inode, Change::Write { at, bytes: bytes[..part].to_vec() });
        done
    }

    pub fn sync(&mut self, inode: usize) -> io::Result<()> {
        let fails = self.step()? == Some(Fault::SyncFails);
        self.keep();
        let inode = &mut self.inodes[inode];
        let changes = std::mem::take(&mut inode.unsynced);
        if fails {
            return Err(io::Error::other("input/output error"));
        }
        changes.iter().for_each(|change| change.apply(&mut inode.durable));
        Ok(())
    }

    pub fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        self.step_that_needs_space()?;
        self.folders.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    pub fn create(&mut self, path: &Path) -> io::Result<usize> {
        self.step_that_needs_space()?;
        if self.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !self.folders.contains(folder_of(path)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.inodes.push(Inode::default());
        let inode = self.inodes.len() - 1;
        self.relink(Entry::Link(path.to_owned(), inode));
        Ok(inode)
    }

    pub fn open(&mut self, path: &Path) -> io::Result<usize> {
        self.step()?;
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let inode = self.open(path)?;
        Ok(self.inodes[inode].seen.clone())
    }

    pub fn find(&mut self, path: &Path) -> io::Result<Found> {
        self.step()?;
        self.found(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn found(&self, path: &Path) -> Option<Found> {
        let inode = self.names.get(path);
        let is_folder = inode.is_none() && self.folders.contains(path);
        let bytes = inode.map(|inode| self.inodes[*inode].seen.len() as u64);
        (is_folder || bytes.is_some()).then(|| Found {
            path: path.to_owned(),
            is_folder,
            bytes: bytes.unwrap_or_default(),
            // Long ago: whatever asks how old a file is finds it old.
            modified: SystemTime::UNIX_EPOCH,
        })
    }

    pub fn entries(&mut self, folder: &Path) -> io::Result<Vec<Found>> {
        self.step()?;
        let names: BTreeSet<&PathBuf> = self.names.keys().chain(&self.folders).collect();
        let here = names.into_iter().filter(|path| folder_of(path) == folder && *path != folder);
        Ok(here.filter_map(|path| self.found(path)).collect())
    }

    pub fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.open(from)?;
        if self.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !self.folders.contains(folder_of(to)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.relink(Entry::Link(to.to_owned(), inode));
        Ok(())
    }

    pub fn remove_folder(&mut self, path: &Path) -> io::Result<()> {
        self.step()?;
        let is_used = self.names.keys().chain(&self.folders).any(|p| p != path && folder_of(p) == path);
        match is_used {
            true => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            false if self.folders.remove(path) => Ok(()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.open(from)?;
        self.relink(Entry::Rename { from: from.to_owned(), to: to.to_owned(), inode });
        Ok(())
    }

    pub fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.open(path)?;
        self.relink(Entry::Unlink(path.to_owned()));
        Ok(())
    }

    fn relink(&mut self, entry: Entry) {
        self.keep();
        entry.clone().apply(&mut self.names);
        self.unsynced.push(entry);
    }

    pub fn sync_dir(&mut self, folder: &Path) -> io::Result<()> {
        if self.step()? == Some(Fault::SyncFails) {
            // Names lie in the file system's journal, which does not forget what it could not write as the page cache
            // does: they stay for the next try.
            return Err(io::Error::other("input/output error"));
        }
        self.keep();
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.unsynced).into_iter().partition(|e| e.folder() == folder);
        self.unsynced = elsewhere;
        here.into_iter().for_each(|entry| entry.apply(&mut self.durable_names));
        Ok(())
    }

    pub fn corrupt(&mut self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let inode = self.names.get(path).copied().ok_or(io::ErrorKind::NotFound)?;
        let inode = &mut self.inodes[inode];
        change(&mut inode.seen);
        inode.durable.clone_from(&inode.seen);
        inode.unsynced.clear();
        Ok(())
    }

    /// Ends a process. Answers the number of the next one.
    pub fn restart(&mut self, how: Restart) -> u64 {
        self.life += 1;
        self.dead = false;
        self.fault = None;
        if how == Restart::PowerLost {
            self.lose_power();
        }
        self.life
    }
}
