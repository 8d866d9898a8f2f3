//! The store: one handle for doors (ingest), for queries (snapshots, traces) and for the process (open, close).

mod background;
mod close;
mod counters;
mod damaged;
mod derived;
mod flush;
mod follow;
mod ingest;
mod levels;
mod lookup;
mod merge;
mod open;
mod patience;
mod pending;
mod restate;
mod retain;
mod senders;
mod settle;
mod state;
mod status;
mod superseded;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Tenant, TraceId, UnixNanos};
use rustc_hash::FxHashMap;

use crate::blocking::blocking;
use crate::decode::{Decode, Decoded, RecordKind};
use crate::error::{IngestError, StoreError};
use crate::files::{Files, OwnFile};
use crate::home::Home;
use crate::jobs::Jobs;
use crate::lake::LakeTable;
use crate::options::StoreOptions;
use crate::snapshot::Snapshot;
use crate::wal::WalWriter;
use counters::Counters;
pub use counters::Written;
pub use open::{salvage, salvage_data};
use patience::Settling;
pub use senders::Senders;
use state::State;
pub use status::StoreStatus;

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

/// A cheap handle; clones share one store.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// What the handles share.
struct Inner {
    options: StoreOptions,
    decoder: Arc<dyn Decode>,
    home: Home,
    /// `None` of a store that follows what another process writes.
    log: Option<Log>,
    state: Arc<Mutex<State>>,
    /// Why nothing more is written to the lake.
    stopped: Mutex<Option<String>>,
    following: tokio::sync::Mutex<follow::Following>,
    lake: [tokio::sync::Mutex<LakeTable>; Table::ALL.len()],
    counters: Arc<Counters>,
    jobs: Jobs,
    replaced: Mutex<Vec<merge::Replaced>>,
    flushing: tokio::sync::Mutex<()>,
    settling: Mutex<()>,
    awaited: Mutex<senders::Awaited>,
    /// Files of which every row is still to be kept, and the day on which that was looked up.
    retained: Mutex<FxHashMap<(Table, String), i32>>,
    restating: Mutex<restate::Restating>,
    derived: derived::Derived,
    damaged: damaged::Damaged,
    merging: tokio::sync::Mutex<()>,
    /// See [`Store::turn`].
    turns: tokio::sync::Mutex<()>,
    /// See [`Store::rolled_up_through`].
    rolled_up_through: AtomicU64,
    /// Asks the keeper for a flush before its time.
    flush_wanted: tokio::sync::Notify,
    closing: AtomicBool,
    background: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

/// The write-ahead log.
#[derive(Debug)]
struct Log {
    writer: WalWriter<Decoded>,
    /// Its UUID: the application id of its Delta transactions.
    id: String,
    files: Arc<dyn Files>,
    /// Names the traces that a crash would leave unsettled (see `pending.rs`).
    pending: OwnFile,
    /// Held for as long as the store is open, so that no second process writes here.
    _lock: Box<dyn Any + Send + Sync>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("home", &self.home).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens or creates the store at `options.home`, replays its log, and starts flushing, settling and merging.
    pub async fn open(options: StoreOptions, decoder: Arc<dyn Decode>) -> Result<Self, StoreError> {
        let home = Home::open(&options.home)?;
        Self::open_at(home, options, decoder).await
    }

    /// The same at a home that was opened before, as one of a file system that fails on purpose.
    pub async fn open_at(
        home: Home,
        options: StoreOptions,
        decoder: Arc<dyn Decode>,
    ) -> Result<Self, StoreError> {
        let inner = open::open(home, options, decoder).await?;
        background::start(&inner);
        Ok(Self { inner })
    }

    /// Opens a store that another process writes, to read it: what is in the lake, as of a moment ago. What is not flushed yet is
    /// not to be seen, and nothing can be sent here.
    pub async fn open_to_read(options: StoreOptions, decoder: Arc<dyn Decode>) -> Result<Self, StoreError> {
        let home = Home::open(&options.home)?;
        let inner = open::open_to_read(home, options, decoder).await?;
        background::start(&inner);
        Ok(Self { inner })
    }

    /// Whether another process writes it.
    pub fn is_read_only(&self) -> bool {
        self.inner.log.is_none()
    }

    /// Takes in what the process that writes it committed since. Nothing else does, where nothing else writes.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        if self.is_read_only() { self.inner.follow().await } else { Ok(()) }
    }

    /// Decodes, logs, waits for the fsync and makes the rows visible. Once it answers, they are durable.
    pub async fn ingest(
        &self,
        kind: RecordKind,
        tenant: Tenant,
        payload: Bytes,
    ) -> Result<Accepted, IngestError> {
        let result = self.inner.ingest(kind, tenant, payload).await;
        match &result {
            Err(IngestError::Overloaded { .. } | IngestError::Unavailable(_)) => {
                self.inner.counters.refused.add(1)
            }
            _ => self.inner.counters.requests.add(1),
        }
        result
    }

    /// One consistent instant of every table.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.inner.state.lock().snapshot()
    }

    /// Every span of one trace (one tenant's, or every tenant's that uses the id), from tail and files,
    /// with the file schema of `spans`; a span sent twice is there once.
    pub async fn trace(
        &self,
        tenant: Option<&Tenant>,
        trace_id: TraceId,
    ) -> Result<Vec<arrow::record_batch::RecordBatch>, StoreError> {
        self.inner.trace(tenant.cloned(), trace_id).await
    }

    /// Adds rows of a rollup, which a query computed from a snapshot of this store. They show at once, and are durable
    /// once no tail holds them any more.
    pub fn add_rollup(
        &self,
        table: Table,
        batch: arrow::record_batch::RecordBatch,
    ) -> Result<(), StoreError> {
        let context = || StoreError::arrow(format!("rows of {}", table.as_str()));
        if !table.is_rollup() || batch.schema() != table.file_schema() {
            let problem = "not the rows of a rollup".to_owned();
            return Err(context()(arrow::error::ArrowError::SchemaError(problem)));
        }
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.inner.state.lock().tail.push_derived(table, batch, Instant::now())
    }

    /// Says that rollups which are durable account for every revision up to that sequence: rows that those supersede are of no
    /// use any more, and leave the files when these are merged.
    pub fn rolled_up_through(&self, seq: u64) {
        self.inner.rolled_up_through.fetch_max(seq, Ordering::AcqRel);
    }

    /// When the senders of other traces handed over what consumers among these spans took, as far as they are here.
    pub async fn senders(&self, spans: Vec<arrow::record_batch::RecordBatch>) -> Result<Senders, StoreError> {
        let inner = self.inner.clone();
        blocking(move || inner.senders_of(&spans)).await
    }

    /// Long work, what ended of late and what goes on.
    pub fn jobs(&self) -> &Jobs {
        &self.inner.jobs
    }

    /// The lowest log sequence of any trace that did not settle yet.
    pub fn unsettled_from(&self) -> Option<u64> {
        self.inner.state.lock().tail.traces.unsettled_floor()
    }

    /// Waits until every trace that was acknowledged before the call is settled, flushed and merged.
    /// For `--once` loads, tests and benches.
    pub async fn settle_all(&self) -> Result<(), StoreError> {
        self.inner.settle_everything().await?;
        self.inner.flush().await?;
        self.inner.merge().await?;
        Ok(())
    }

    /// Lets go of what is not to be kept at that time. The store does so itself, by the clock.
    pub async fn retain(&self, now: UnixNanos) -> Result<usize, StoreError> {
        self.inner.retain(now.day()).await
    }

    pub fn home(&self) -> &Home {
        &self.inner.home
    }

    /// The stage rules in force.
    pub fn rules(&self) -> &plimsoll_schemas::Rules {
        &self.inner.options.rules
    }
}

impl Inner {
    /// Settles until nothing is left that came before the call.
    async fn settle_everything(self: &Arc<Self>) -> Result<(), StoreError> {
        loop {
            let inner = self.clone();
            if blocking(move || inner.settle(Settling::ALL)).await? == 0 {
                return Ok(());
            }
        }
    }

    fn flush_due(&self) -> bool {
        let state = self.state.lock();
        let old = state.tail.oldest().is_some_and(|t| Instant::now() - t >= self.options.flush_after);
        old || state.tail.unflushed_bytes() >= self.options.flush_bytes
    }
}
