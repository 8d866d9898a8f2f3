//! What the disk holds, what the process sees, and what lies between the two.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::{Fault, Restart};
use crate::files::{Found, folder_of};

/// Of a write that was not synced, each of these reaches the disk or not by itself.
const SECTOR_BYTES: usize = 16;

/// A change of a file's bytes.
#[derive(Debug, Clone)]
pub enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Cut(usize),
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => {
                if to.len() < at + bytes.len() {
                    to.resize(at + bytes.len(), 0);
                }
                to[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            Self::Cut(len) => to.truncate(*len),
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Inode {
    /// Bytes for which there is room, also when the disk is full.
    reserved: usize,
    seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

/// A change of a folder's entries.
#[derive(Debug, Clone)]
enum Entry {
    Link(PathBuf, usize),
    Unlink(PathBuf),
    Rename { from: PathBuf, to: PathBuf, inode: usize },
}

impl Entry {
    fn folder(&self) -> &Path {
        match self {
            Self::Link(path, _) | Self::Unlink(path) | Self::Rename { to: path, .. } => folder_of(path),
        }
    }

    fn apply(self, to: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Link(path, inode) => drop(to.insert(path, inode)),
            Self::Unlink(path) => drop(to.remove(&path)),
            Self::Rename { from, to: path, inode } => {
                to.remove(&from);
                to.insert(path, inode);
            }
        }
    }
}

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

    fn lose_power(&mut self) {
        for entry in std::mem::take(&mut self.unsynced) {
            if self.below(2) == 0 {
                entry.apply(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
        for i in 0..self.inodes.len() {
            let unsynced = std::mem::take(&mut self.inodes[i].unsynced);
            let landed = self.landed(unsynced);
            let inode = &mut self.inodes[i];
            landed.iter().for_each(|change| change.apply(&mut inode.durable));
            inode.seen.clone_from(&inode.durable);
        }
    }

    /// What of the changes reached the disk: nothing, all, a prefix of the bytes, or sectors here and there.
    fn landed(&mut self, changes: Vec<Change>) -> Vec<Change> {
        match self.below(4) {
            0 => Vec::new(),
            1 => changes,
            2 => {
                let bytes = |c: &Change| if let Change::Write { bytes, .. } = c { bytes.len() } else { 0 };
                let mut left = self.below(changes.iter().map(bytes).sum::<usize>() + 1);
                let mut landed = Vec::new();
                for mut change in changes {
                    let all = bytes(&change);
                    if let Change::Write { bytes, .. } = &mut change {
                        bytes.truncate(left);
                    }
                    landed.push(change);
                    if all >= left {
                        break;
                    }
                    left -= all;
                }
                landed
            }
            _ => {
                let mut landed = Vec::new();
                for change in changes {
                    let Change::Write { at, bytes } = change else {
                        if self.below(2) == 0 {
                            landed.push(change);
                        }
                        continue;
                    };
                    for (i, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                        if self.below(2) == 0 {
                            landed.push(Change::Write { at: at + i * SECTOR_BYTES, bytes: sector.to_vec() });
                        }
                    }
                }
                landed
            }
        }
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): a test's failure must come again from its seed.
    fn below(&mut self, n: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % (n.max(1) as u64)) as usize
    }
}
