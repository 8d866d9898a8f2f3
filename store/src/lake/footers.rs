//! Parquet footers with their page index, kept in memory: reading one costs more than reading a trace.

use std::fs::File;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::PageIndexPolicy;
use rustc_hash::FxHashMap;

use crate::error::StoreError;

/// A bounded cache, shared by all readers; the least recently used go first.
#[derive(Debug)]
pub struct FooterCache {
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: FxHashMap<PathBuf, Entry>,
    bytes: usize,
    /// Counts lookups, to tell what was used last.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    footer: ArrowReaderMetadata,
    bytes: usize,
    used: u64,
}

impl FooterCache {
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default() }
    }

    /// The footer of the file at `path`, which is `file`. Data files never change, so it never grows stale.
    pub(super) fn get(&self, path: &Path, file: &File) -> Result<ArrowReaderMetadata, StoreError> {
        if let Some(footer) = self.state.lock().touch(path) {
            return Ok(footer);
        }
        let footer = load(path, file)?;
        let bytes = footer.metadata().memory_size();
        if bytes <= self.bytes_max {
            self.state.lock().insert(path, Entry { footer: footer.clone(), bytes, used: 0 }, self.bytes_max);
        }
        Ok(footer)
    }

    pub fn memory_bytes(&self) -> usize {
        self.state.lock().bytes
    }
}

impl State {
    fn touch(&mut self, path: &Path) -> Option<ArrowReaderMetadata> {
        self.clock += 1;
        let entry = self.entries.get_mut(path)?;
        entry.used = self.clock;
        Some(entry.footer.clone())
    }

    fn insert(&mut self, path: &Path, mut entry: Entry, bytes_max: usize) {
        entry.used = self.clock;
        self.bytes += entry.bytes;
        if let Some(replaced) = self.entries.insert(path.into(), entry) {
            self.bytes -= replaced.bytes;
        }
        while self.bytes > bytes_max {
            let oldest = self.entries.iter().min_by_key(|(_, e)| e.used).map(|(path, _)| path.clone());
            let Some(evicted) = oldest.and_then(|path| self.entries.remove(&path)) else { break };
            self.bytes -= evicted.bytes;
        }
    }
}

/// The footer, and the page index where there is one.
pub(super) fn load(path: &Path, file: &File) -> Result<ArrowReaderMetadata, StoreError> {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    ArrowReaderMetadata::load(file, options).map_err(StoreError::parquet(path.display().to_string()))
}
