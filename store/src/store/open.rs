//! Opening: lock the folder, open the tables, replay the log into the tail, and note what a crash left unsettled.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Instant;

use parking_lot::Mutex;
use plimsoll_schemas::table::Table;

use super::counters::Counters;
use super::state::{State, TableFiles};
use super::{Inner, pending};
use crate::decode::{Decode, Decoded};
use crate::error::StoreError;
use crate::files::{Files, OsFiles};
use crate::jobs::Jobs;
use crate::lake::{FooterCache, LakeTable};
use crate::options::StoreOptions;
use crate::wal::{Durable, Salvaged, Wal, WalWriter};

/// Bytes of Parquet footers kept for trace look-ups.
const FOOTER_CACHE_BYTES: usize = 256 << 20;

pub(super) async fn open(options: StoreOptions, decoder: Arc<dyn Decode>) -> Result<Arc<Inner>, StoreError> {
    let files: Arc<dyn Files> = Arc::new(OsFiles);
    let home = options.home.clone();
    files.create_dir_all(&home).map_err(StoreError::io(&home))?;
    let lock = lock(&home)?;
    let mut tables = Vec::with_capacity(Table::ALL.len());
    for table in Table::ALL {
        tables.push(LakeTable::open(&home, table).await?);
    }
    let mut state = State::new(std::array::from_fn(|i| TableFiles {
        root: tables[i].root(),
        version: tables[i].version(),
        files: tables[i].files(),
    }));
    let floor = tables.iter().flat_map(|t| t.files().iter().map(|f| f.wal_seq_max).max()).max().unwrap_or(0);
    let (mut wal, replay) = Wal::open(files.clone(), &home.join("wal"), floor)?;
    let log_id = wal.id().to_string();
    let mut flushed_of = [0_u64; Table::ALL.len()];
    for table in [Table::Spans, Table::LogRecords, Table::Verdicts] {
        let version = tables[table as usize].transaction_version(&log_id).await?;
        flushed_of[table as usize] = version.and_then(|v| u64::try_from(v).ok()).unwrap_or(0);
    }
    let flushed = flushed_of[Table::Spans as usize];
    let counters = Arc::new(Counters::default());
    let mut replayed = 0_u64;
    let mut digests = Vec::new();
    for record in replay {
        let record = record?;
        digests.push((crate::wal::digest(&record.meta, &record.payload), record.meta.ingest));
        let mut decoded = match decoder.decode(&record.meta, &record.payload) {
            Ok(decoded) => decoded,
            Err(error) => {
                tracing::error!(seq = record.seq, %error, "a record of the log does not decode any more; skipped");
                continue;
            }
        };
        decoded.batches.retain(|(table, _)| record.seq > flushed_of[*table as usize]);
        state.tail.publish(record.seq, &record.meta.tenant, decoded, Instant::now())?;
        replayed += 1;
    }
    // Derived rows of this run supersede whatever an earlier one wrote.
    state.tail.seq = wal.skip()?;
    let interrupted = pending::read(&*files, &home)?;
    state.tail.traces.mark_all_resettled();
    for (tenant, trace_id) in &interrupted {
        state.tail.traces.revive(tenant, *trace_id, Instant::now());
    }
    if replayed > 0 || !interrupted.is_empty() {
        tracing::info!(records = replayed, traces = interrupted.len(), "took up what the last stop left");
    }
    counters.flushed_seq.set(if replayed == 0 { state.tail.seq } else { flushed });
    let state = Arc::new(Mutex::new(state));
    let publisher = publisher(state.clone(), counters.clone());
    let writer = WalWriter::spawn(wal, digests, publisher)?;
    Ok(Arc::new(Inner {
        options,
        decoder,
        files,
        state,
        wal: writer,
        log_id,
        lake: tables
            .into_iter()
            .map(tokio::sync::Mutex::new)
            .collect::<Vec<_>>()
            .try_into()
            .unwrap_or_else(|_| unreachable!("one per table")),
        footers: FooterCache::new(FOOTER_CACHE_BYTES),
        counters,
        jobs: Jobs::default(),
        replaced: Mutex::default(),
        flushing: tokio::sync::Mutex::default(),
        settling: Mutex::default(),
        awaited: Mutex::default(),
        retained: Mutex::default(),
        restating: Mutex::default(),
        merging: tokio::sync::Mutex::default(),
        rolled_up_through: AtomicU64::new(0),
        flush_wanted: tokio::sync::Notify::new(),
        closing: AtomicBool::new(false),
        background: Mutex::default(),
        _lock: lock,
    }))
}

/// Takes what is whole out of a damaged log (see [`crate::wal::salvage`]) of a home that nobody has open.
pub fn salvage(home: &Path) -> Result<Vec<Salvaged>, StoreError> {
    let _lock = lock(home)?;
    crate::wal::salvage(&OsFiles, &home.join("wal"))
}

/// What the log's writer does with rows that became durable, before it answers the doors.
fn publisher(state: Arc<Mutex<State>>, counters: Arc<Counters>) -> impl FnMut(Vec<Durable<Decoded>>) + Send {
    move |group| {
        let now = Instant::now();
        let mut state = state.lock();
        for Durable { seq, meta, attachment, .. } in group {
            match state.tail.publish(seq, &meta.tenant, attachment, now) {
                Ok(published) => counters.duplicate_spans.add(published.duplicate_spans),
                // The decoder's rows do not fit the schema: they are durable, and replay would say the same.
                Err(error) => tracing::error!(seq, %error, "durable rows cannot be shown"),
            }
        }
    }
}

fn lock(home: &Path) -> Result<std::fs::File, StoreError> {
    let path = home.join("lock");
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(StoreError::io(&path))?;
    file.try_lock().map_err(|_| StoreError::Locked { path: home.to_owned() })?;
    Ok(file)
}
