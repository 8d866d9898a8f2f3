//! How the store is: for `/system`, `/readyz` and `/metrics`.

use std::time::Duration;

use plimsoll_schemas::table::Table;

use super::Store;
use super::counters::Written;

/// The state of the store at one moment.
#[derive(Debug, Clone, Default)]
pub struct StoreStatus {
    pub wal_seq: u64,
    pub flushed_wal_seq: u64,
    pub tail_rows: u64,
    pub tail_bytes: u64,
    /// `Some(why)` once nothing more is acknowledged.
    pub poisoned: Option<String>,
    /// For how long acknowledgements have been waiting for the log's disk or bucket, once that is long.
    pub held_up: Option<Duration>,
    pub spans: u64,
    pub log_records: u64,
    pub verdicts: u64,
    pub requests: u64,
    pub rejected: u64,
    pub refused: u64,
    pub duplicate_requests: u64,
    pub duplicate_spans: u64,
    pub pending_traces: u64,
    pub settled_traces: u64,
    pub flushes: u64,
    pub merges: u64,
    /// By table, in the order of [`Table::ALL`]: what flushes, merges and retention wrote.
    pub written: [Written; Table::ALL.len()],
    /// Data files that the store's own work found to be damaged.
    pub damaged: Vec<String>,
}

impl Store {
    pub fn status(&self) -> StoreStatus {
        let c = &self.inner.counters;
        let state = self.inner.state.lock();
        StoreStatus {
            wal_seq: state.tail.seq,
            flushed_wal_seq: c.flushed_seq.get(),
            tail_rows: state.tail.rows() as u64,
            tail_bytes: state.tail.bytes() as u64,
            poisoned: self.inner.poisoned(),
            held_up: self.inner.held_up(),
            spans: c.spans.get(),
            log_records: c.log_records.get(),
            verdicts: c.verdicts.get(),
            requests: c.requests.get(),
            rejected: c.rejected.get(),
            refused: c.refused.get(),
            duplicate_requests: c.duplicate_requests.get(),
            duplicate_spans: c.duplicate_spans.get(),
            pending_traces: state.tail.traces.unsettled() as u64,
            settled_traces: c.settled_traces.get(),
            flushes: c.flushes.get(),
            merges: c.merges.get(),
            written: c.written(),
            damaged: self.inner.damaged.names(),
        }
    }
}
