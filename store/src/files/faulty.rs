//! A file system in memory that fails on purpose, for tests: it counts operations, and crashes, tears a write, fails
//! an fsync or runs full at the one that a test names.
//!
//! After [`FaultyFiles::crash`] there is what was synced; of what was not, an arbitrary part.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Appending, Files};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before the operation takes place.
    Crash,
    /// A write puts down this share (in 1/256) of its bytes, then the process dies.
    TornWrite(u8),
    /// The fsync fails, and what it should have made durable is not.
    SyncFails,
    /// No space is left.
    Full,
}

#[derive(Debug, Default, Clone)]
struct Inode {
    bytes: Vec<u8>,
    synced: usize,
}

#[derive(Debug, Default)]
struct Disk {
    inodes: Vec<Inode>,
    /// What a process sees, and what a crash leaves of names.
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    operations: u64,
    fault: Option<(u64, Fault)>,
    dead: bool,
}

/// See the module's description. Clones share one disk.
#[derive(Debug, Clone, Default)]
pub struct FaultyFiles(Arc<Mutex<Disk>>);

impl FaultyFiles {
    /// The operation with this number, counted from 0, goes wrong.
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        let mut disk = self.0.lock();
        disk.fault = Some((operation, fault));
    }

    /// How many operations there were.
    pub fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    /// The machine starts again. `keep` says how much of the unsynced bytes of each file survived, in 1/256.
    pub fn crash(&self, keep: u8) {
        let mut disk = self.0.lock();
        disk.names = disk.durable_names.clone();
        for inode in &mut disk.inodes {
            let unsynced = inode.bytes.len() - inode.synced;
            inode.bytes.truncate(inode.synced + unsynced * usize::from(keep) / 256);
            inode.synced = inode.bytes.len();
        }
        disk.fault = None;
        disk.dead = false;
    }

    /// Flips one bit of a file.
    pub fn flip(&self, path: &Path, byte: usize, bit: u8) {
        let mut disk = self.0.lock();
        if let Some(inode) = disk.names.get(path).copied() {
            disk.inodes[inode].bytes[byte] ^= 1 << bit;
        }
    }
}

impl Disk {
    /// Counts an operation and answers what goes wrong with it.
    fn step(&mut self) -> io::Result<Option<Fault>> {
        if self.dead {
            return Err(died());
        }
        let operation = self.operations;
        self.operations += 1;
        match self.fault {
            Some((at, Fault::Crash)) if at == operation => {
                self.dead = true;
                Err(died())
            }
            Some((at, fault)) if at == operation => Ok(Some(fault)),
            _ => Ok(None),
        }
    }

    fn inode(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn died() -> io::Error {
    io::Error::other("the process died")
}

#[derive(Debug)]
struct Handle {
    disk: Arc<Mutex<Disk>>,
    inode: usize,
}

impl Appending for Handle {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let fault = disk.step()?;
        let inode = self.inode;
        match fault {
            Some(Fault::TornWrite(share)) => {
                let part = bytes.len() * usize::from(share) / 256;
                disk.inodes[inode].bytes.extend_from_slice(&bytes[..part]);
                disk.dead = true;
                Err(died())
            }
            Some(Fault::Full) => {
                disk.inodes[inode].bytes.extend_from_slice(&bytes[..bytes.len() / 2]);
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => {
                disk.inodes[inode].bytes.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.disk.lock();
        if let Some(Fault::SyncFails) = disk.step()? {
            return Err(io::Error::other("input/output error"));
        }
        let inode = &mut disk.inodes[self.inode];
        inode.synced = inode.bytes.len();
        Ok(())
    }
}

impl Files for FaultyFiles {
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        self.0.lock().step().map(|_| ())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Appending>> {
        let mut disk = self.0.lock();
        if let Some(Fault::Full) = disk.step()? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if disk.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        disk.inodes.push(Inode::default());
        let inode = disk.inodes.len() - 1;
        disk.names.insert(path.to_owned(), inode);
        Ok(Box::new(Handle { disk: self.0.clone(), inode }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut disk = self.0.lock();
        disk.step()?;
        let inode = disk.inode(path)?;
        Ok(disk.inodes[inode].bytes.clone())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut disk = self.0.lock();
        disk.step()?;
        Ok(disk.names.keys().filter(|p| p.parent() == Some(path)).cloned().collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.step()?;
        let inode = disk.inode(from)?;
        disk.names.remove(from);
        disk.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.step()?;
        disk.inode(path)?;
        disk.names.remove(path);
        Ok(())
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.step()?;
        let inode = disk.inode(path)?;
        let inode = &mut disk.inodes[inode];
        inode.bytes.truncate(len as usize);
        inode.synced = inode.bytes.len();
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        if let Some(Fault::SyncFails) = disk.step()? {
            return Err(io::Error::other("input/output error"));
        }
        let here = |p: &PathBuf| p.parent() == Some(path);
        disk.durable_names.retain(|p, _| !here(p));
        let seen: Vec<_> = disk.names.iter().filter(|(p, _)| here(p)).map(|(p, i)| (p.clone(), *i)).collect();
        disk.durable_names.extend(seen);
        Ok(())
    }
}
