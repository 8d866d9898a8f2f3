//! Parquet footers with their page index, kept in memory: reading one costs more than reading a trace.

use std::sync::Arc;

use parking_lot::Mutex;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::Result;
use parquet::file::metadata::ParquetMetaData;
use rustc_hash::FxHashMap;

use super::checksums::Blocks;
use super::object::Object;

/// A query over a week opens hundreds of files.
pub const FOOTER_BYTES_MAX: usize = 512 << 20;

/// What a file says of itself.
#[derive(Debug, Clone)]
pub(super) struct Footer {
    pub arrow: ArrowReaderMetadata,
    /// Of what is ahead of it, where it says them.
    pub blocks: Option<Arc<Blocks>>,
}

impl Footer {
    pub fn of(metadata: ParquetMetaData) -> Result<Self> {
        let blocks = Blocks::of(&metadata)?.map(Arc::new);
        let arrow = ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new())?;
        Ok(Self { arrow, blocks })
    }

    fn memory_bytes(&self) -> usize {
        self.arrow.metadata().memory_size() + self.blocks.as_ref().map_or(0, |blocks| blocks.memory_bytes())
    }
}

/// A bounded cache, shared by all readers; the least recently used go first.
#[derive(Debug)]
pub struct FooterCache {
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By the file's name within the home.
    entries: FxHashMap<String, Entry>,
    bytes: usize,
    /// Counts lookups, to tell what was used last.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    footer: Footer,
    bytes: usize,
    used: u64,
}

impl FooterCache {
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, state: Mutex::default() })
    }

    /// The footer of a file. Data files never change, so it never grows stale.
    pub(super) async fn get(&self, file: &Object) -> Result<Footer> {
        if let Some(footer) = self.state.lock().touch(file.name()) {
            return Ok(footer);
        }
        let footer = file.read_footer().await?;
        let bytes = footer.memory_bytes();
        if bytes <= self.bytes_max {
            let entry = Entry { footer: footer.clone(), bytes, used: 0 };
            self.state.lock().insert(file.name(), entry, self.bytes_max);
        }
        Ok(footer)
    }

    pub fn memory_bytes(&self) -> usize {
        self.state.lock().bytes
    }
}

impl State {
    fn touch(&mut self, name: &str) -> Option<Footer> {
        self.clock += 1;
        let entry = self.entries.get_mut(name)?;
        entry.used = self.clock;
        Some(entry.footer.clone())
    }

    fn insert(&mut self, name: &str, mut entry: Entry, bytes_max: usize) {
        entry.used = self.clock;
        self.bytes += entry.bytes;
        if let Some(replaced) = self.entries.insert(name.into(), entry) {
            self.bytes -= replaced.bytes;
        }
        while self.bytes > bytes_max {
            let oldest = self.entries.iter().min_by_key(|(_, e)| e.used).map(|(name, _)| name.clone());
            let Some(evicted) = oldest.and_then(|name| self.entries.remove(&name)) else { break };
            self.bytes -= evicted.bytes;
        }
    }
}
