//! What the store counts, for `/system`, `/readyz` and `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use plimsoll_schemas::table::Table;

use crate::snapshot::DataFile;

/// A number that many threads change; reads need not be of one instant.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Release);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// What was written into files of a table since the store was opened; of one row as often as it was.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    pub rows: u64,
    pub bytes: u64,
}

#[derive(Debug, Default)]
pub struct Counters {
    pub spans: Counter,
    pub log_records: Counter,
    pub verdicts: Counter,
    pub requests: Counter,
    pub rejected: Counter,
    pub refused: Counter,
    pub duplicate_requests: Counter,
    pub duplicate_spans: Counter,
    pub settled_traces: Counter,
    pub flushes: Counter,
    pub merges: Counter,
    pub flushed_seq: Counter,
    rows_written: [Counter; Table::ALL.len()],
    bytes_written: [Counter; Table::ALL.len()],
}

impl Counters {
    pub fn wrote(&self, table: Table, files: &[Arc<DataFile>]) {
        self.rows_written[table as usize].add(files.iter().map(|file| file.rows).sum());
        self.bytes_written[table as usize].add(files.iter().map(|file| file.size_bytes).sum());
    }

    /// By table, in the order of [`Table::ALL`].
    pub fn written(&self) -> [Written; Table::ALL.len()] {
        std::array::from_fn(|i| Written {
            rows: self.rows_written[i].get(),
            bytes: self.bytes_written[i].get(),
        })
    }
}
