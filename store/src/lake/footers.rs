//! Parquet footers with their page index, kept in memory: reading one costs more than reading a trace.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use parking_lot::Mutex;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::AsyncFileReader;
use rustc_hash::FxHashMap;

use super::object::Object;
use super::read::told;
use crate::error::StoreError;

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
    footer: ArrowReaderMetadata,
    bytes: usize,
    used: u64,
}

impl FooterCache {
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default() }
    }

    /// The footer of a file. Data files never change, so it never grows stale.
    pub(super) async fn get(&self, file: &mut Object) -> Result<ArrowReaderMetadata, StoreError> {
        if let Some(footer) = self.state.lock().touch(file.name()) {
            return Ok(footer);
        }
        let footer = load(file).await?;
        let bytes = footer.metadata().memory_size();
        if bytes <= self.bytes_max {
            self.state.lock().insert(
                file.name(),
                Entry { footer: footer.clone(), bytes, used: 0 },
                self.bytes_max,
            );
        }
        Ok(footer)
    }

    pub fn memory_bytes(&self) -> usize {
        self.state.lock().bytes
    }
}

impl State {
    fn touch(&mut self, name: &str) -> Option<ArrowReaderMetadata> {
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

/// The footer, and the page index where there is one.
pub(super) async fn load(file: &mut Object) -> Result<ArrowReaderMetadata, StoreError> {
    let context = file.context();
    let footer =
        async { ArrowReaderMetadata::try_new(file.get_metadata(None).await?, ArrowReaderOptions::new()) };
    told(&context, AssertUnwindSafe(footer).catch_unwind().await)?.map_err(StoreError::parquet(context))
}
