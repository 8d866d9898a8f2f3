//! The store: one handle for doors (ingest), for queries (snapshots, traces) and for the process (open, close).

use std::sync::Arc;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Tenant, TraceId};

use crate::decode::{Decode, RecordKind};
use crate::error::{IngestError, StoreError};
use crate::options::StoreOptions;
use crate::snapshot::Snapshot;

/// What was accepted; it is durable.
#[derive(Debug, Clone, Default)]
pub struct Accepted {
    pub rows: u64,
    /// Items that could not be kept.
    pub rejected: u64,
    pub message: Option<String>,
    /// The same request was accepted before: nothing was written again.
    pub duplicate: bool,
}

/// The state of the store, for `/system`, `/readyz` and `/metrics`.
#[derive(Debug, Clone, Default)]
pub struct StoreStatus {
    pub wal_seq: u64,
    pub flushed_wal_seq: u64,
    pub tail_rows: u64,
    pub tail_bytes: u64,
    /// `Some(why)` once nothing more is acknowledged.
    pub poisoned: Option<String>,
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
}

/// A cheap handle; clones share one store.
#[derive(Debug, Clone)]
pub struct Store {
    _inner: Arc<()>,
}

impl Store {
    /// Opens or creates the store at `options.home`, replays its log, and starts flushing, settling and merging.
    pub async fn open(_options: StoreOptions, _decoder: Arc<dyn Decode>) -> Result<Self, StoreError> {
        unimplemented!()
    }

    /// Decodes, logs, waits for the fsync and makes the rows visible. Once it answers, they are durable.
    pub async fn ingest(
        &self,
        _kind: RecordKind,
        _tenant: Tenant,
        _payload: Bytes,
    ) -> Result<Accepted, IngestError> {
        unimplemented!()
    }

    /// One consistent instant of every table.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        unimplemented!()
    }

    /// Every span of one trace (one tenant's, or every tenant's that uses the id), from tail and files,
    /// with the file schema of `spans`; a span sent twice is there once.
    pub async fn trace(
        &self,
        _tenant: Option<&Tenant>,
        _trace_id: TraceId,
    ) -> Result<Vec<RecordBatch>, StoreError> {
        unimplemented!()
    }

    pub fn status(&self) -> StoreStatus {
        unimplemented!()
    }

    /// Waits until every trace that was acknowledged before the call is settled, flushed and merged.
    /// For `--once` loads, tests and benches.
    pub async fn settle_all(&self) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// Settles and flushes everything, and leaves no log behind.
    pub async fn close(&self, _within: Duration) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// The folder of a table.
    pub fn table_root(&self, _table: Table) -> std::path::PathBuf {
        unimplemented!()
    }
}
