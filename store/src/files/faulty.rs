//! A file system in memory that fails on purpose, for tests: it counts operations, and at the one that a test names
//! it crashes, cuts a write short, fails an fsync or is full. It knows nothing of real time or real disks.
//!
//! It is as unkind as [the contract](super) allows: after a power loss there is what was synced, and of the rest an
//! arbitrary part (a prefix, or sectors here and there; some names and not others), drawn from the seed.

mod disk;

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};

use super::{Appending, Files, Found};
use disk::{Change, Disk, Recording};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before the operation takes place; all that follow fail until the restart.
    Crash,
    /// A write puts down a part of its bytes and fails. Other operations take place as usual.
    ShortWrite,
    /// An operation that needs space does not get it; of a write a part takes place. Others take place as usual.
    Full,
    /// An fsync fails: what a file's should have made durable stays visible, but no later one makes it durable.
    SyncFails,
}

/// What happened between two lives of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// The process died; the machine kept everything that it had written.
    Killed,
    /// The machine lost its memory too.
    PowerLost,
}

/// See the module's description. Clones share one disk, and are of one process.
#[derive(Debug, Clone)]
pub struct FaultyFiles {
    disk: Arc<Mutex<Disk>>,
    /// Which of the disk's processes uses it.
    life: Arc<AtomicU64>,
    /// The folder that does not wait, while others do.
    stalled: Arc<(Mutex<Option<PathBuf>>, Condvar)>,
}

/// What the disk was at one moment.
#[derive(Debug)]
pub struct Moment {
    pub files: FaultyFiles,
    /// Of the mark that was given to [`FaultyFiles::record`].
    pub mark: u64,
}

impl FaultyFiles {
    pub fn new(seed: u64) -> Self {
        Self::of(Disk::new(seed))
    }

    fn of(disk: Disk) -> Self {
        let life = Arc::new(AtomicU64::new(disk.life));
        Self { disk: Arc::new(Mutex::new(disk)), life, stalled: Arc::default() }
    }

    /// The operation with this number, counted from 0, goes wrong.
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        self.disk.lock().fault = Some((operation, fault));
    }

    /// Whether the disk is full, until it is said otherwise: room that was reserved is there all the same.
    pub fn fill(&self, is_full: bool) {
        self.disk.lock().is_full = is_full;
    }

    /// Whether the disk answers late: what would make a file or give it a name outside of that folder waits, until it is said otherwise.
    pub fn stall(&self, but_below: Option<&Path>) {
        *self.stalled.0.lock() = but_below.map(Path::to_owned);
        self.stalled.1.notify_all();
    }

    fn wait_for(&self, path: &Path) {
        let mut stalled = self.stalled.0.lock();
        while stalled.as_ref().is_some_and(|quick| !path.starts_with(quick)) {
            self.stalled.1.wait(&mut stalled);
        }
    }

    /// How many operations there were.
    pub fn operations(&self) -> u64 {
        self.disk.lock().operations
    }

    /// Keeps what the disk is before each operation that changes it, with the mark as it is then.
    pub fn record(&self, mark: Arc<AtomicU64>) {
        self.disk.lock().recording = Some(Recording { mark, moments: Vec::new() });
    }

    /// What was kept, and the end.
    pub fn moments(&self) -> Vec<Moment> {
        let mut disk = self.disk.lock();
        disk.keep();
        let moments = disk.recording.take().unwrap_or_default().moments;
        moments.into_iter().map(|(disk, mark)| Moment { files: Self::of(disk), mark }).collect()
    }

    /// Ends the process's life, if it has not ended, and begins the next. Files that were open are closed.
    pub fn restart(&self, how: Restart) {
        self.life.store(self.disk.lock().restart(how), Ordering::Release);
    }

    /// The next process. Whatever of the one before still runs can do nothing any more.
    pub fn next_process(&self, how: Restart) -> Self {
        let life = self.disk.lock().restart(how);
        Self { disk: self.disk.clone(), life: Arc::new(AtomicU64::new(life)), stalled: Arc::default() }
    }

    /// Changes a file's bytes behind everyone's back, durably.
    pub fn corrupt(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.disk.lock().corrupt(path, change)
    }

    /// Every file, as the process sees it.
    pub fn all(&self) -> Vec<PathBuf> {
        self.disk.lock().all()
    }

    fn on_disk<T>(&self, act: impl FnOnce(&mut Disk) -> io::Result<T>) -> io::Result<T> {
        let mut disk = self.disk.lock();
        if disk.life != self.life.load(Ordering::Acquire) {
            return Err(io::Error::other("this process has ended"));
        }
        act(&mut disk)
    }

    fn handle(&self, inode: usize) -> Box<dyn Appending> {
        Box::new(Handle { disk: self.disk.clone(), inode, life: self.life.load(Ordering::Acquire), at: 0 })
    }
}

#[derive(Debug)]
struct Handle {
    disk: Arc<Mutex<Disk>>,
    inode: usize,
    life: u64,
    /// Where the next piece goes.
    at: usize,
}

impl Handle {
    fn on_disk<T>(&self, act: impl FnOnce(&mut Disk, usize) -> io::Result<T>) -> io::Result<T> {
        let mut disk = self.disk.lock();
        if disk.life != self.life {
            return Err(io::Error::other("this file was opened before the restart"));
        }
        act(&mut disk, self.inode)
    }
}

impl Appending for Handle {
    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        self.on_disk(|disk, inode| disk.reserve(inode, bytes))
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.on_disk(|disk, inode| disk.write(inode, self.at, bytes))?;
        self.at += bytes.len();
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.on_disk(Disk::sync)
    }

    fn cut(&mut self) -> io::Result<()> {
        self.on_disk(|disk, inode| {
            disk.step()?;
            disk.change(inode, Change::Cut(self.at));
            disk.sync(inode)
        })
    }
}

impl Files for FaultyFiles {
    /// There is one process.
    fn lock(&self, _: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        Ok(Box::new(()))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.on_disk(|disk| disk.create_dir_all(path))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Appending>> {
        self.wait_for(path);
        self.on_disk(|disk| disk.create(path)).map(|inode| self.handle(inode))
    }

    fn reuse(&self, path: &Path) -> io::Result<Box<dyn Appending>> {
        self.on_disk(|disk| disk.open(path)).map(|inode| self.handle(inode))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.on_disk(|disk| disk.read(path))
    }

    fn find(&self, path: &Path) -> io::Result<Found> {
        self.on_disk(|disk| disk.find(path))
    }

    fn entries(&self, folder: &Path) -> io::Result<Vec<Found>> {
        self.on_disk(|disk| disk.entries(folder))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.wait_for(to);
        self.on_disk(|disk| disk.link(from, to))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.wait_for(to);
        self.on_disk(|disk| disk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.on_disk(|disk| disk.remove(path))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.on_disk(|disk| disk.remove_folder(path))
    }

    fn rewrite_end(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.on_disk(|disk| {
            let inode = disk.open(path)?;
            disk.write(inode, offset, bytes)?;
            disk.step()?;
            disk.change(inode, Change::Cut(offset + bytes.len()));
            disk.sync(inode)
        })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.on_disk(|disk| disk.sync_dir(path))
    }
}
