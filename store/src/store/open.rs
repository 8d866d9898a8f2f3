//! Opening: lock the folder, open the tables, replay the log into the tail, and note what a crash left unsettled.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Instant;

use futures::future::join_all;
use parking_lot::Mutex;
use plimsoll_schemas::UnixNanos;
use plimsoll_schemas::table::Table;

use super::counters::Counters;
use super::state::{State, TableFiles};
use super::{Inner, Log, pending};
use crate::blocking::blocking;
use crate::decode::{Decode, Decoded};
use crate::error::StoreError;
use crate::files::{Files, OsFiles};
use crate::home::{Home, Location, WAL};
use crate::jobs::Jobs;
use crate::lake::{LakeTable, Mended, mend};
use crate::options::StoreOptions;
use crate::wal::{Durable, Replay, Salvaged, Wal, WalWriter};

pub(super) async fn open(
    home: Home,
    options: StoreOptions,
    decoder: Arc<dyn Decode>,
) -> Result<Arc<Inner>, StoreError> {
    home.is_there().await?;
    let place = place(&home, options.wal.as_deref())?;
    home.remove_drafts()?;
    let tables = all(Table::ALL.map(|table| own(&home, table))).await?;
    let state = state_of(&tables);
    let floor = tables.iter().flat_map(|t| t.files().iter().map(|f| f.wal_seq_max).max()).max().unwrap_or(0);
    let (files, folder) = (place.files.clone(), place.folder.clone());
    let (wal, replay) = blocking(move || Wal::open(files, &folder, floor)).await?;
    let id = wal.id().to_string();
    let mut flushed_of = [0_u64; Table::ALL.len()];
    for table in [Table::Spans, Table::LogRecords, Table::Verdicts] {
        let version = tables[table as usize].transaction_version(&id).await?;
        flushed_of[table as usize] = version.and_then(|v| u64::try_from(v).ok()).unwrap_or(0);
    }
    let Place { files, beside, _lock, .. } = place;
    let (pending, interrupted) = pending::open(&*files, &beside)?;
    let reader = decoder.clone();
    let (wal, mut recovered) = blocking(move || {
        let mut recovered = recover(state, replay, &*reader, &flushed_of)?;
        let mut wal = wal;
        // Derived rows of this run supersede whatever an earlier one wrote.
        recovered.state.tail.seq = wal.skip()?;
        Ok::<_, StoreError>((wal, recovered))
    })
    .await?;
    let traces = &mut recovered.state.tail.traces;
    traces.mark_all_resettled();
    for (tenant, trace_id) in &interrupted {
        traces.revive(tenant, *trace_id, Instant::now());
    }
    let Recovered { state, records, digests } = recovered;
    if records > 0 || !interrupted.is_empty() {
        tracing::info!(records, traces = interrupted.len(), "took up what the last stop left");
    }
    let counters = Arc::new(Counters::default());
    let flushed = flushed_of[Table::Spans as usize];
    counters.flushed_seq.set(if records == 0 { state.tail.seq } else { flushed });
    let state = Arc::new(Mutex::new(state));
    let publisher = publisher(state.clone(), counters.clone());
    let writer = WalWriter::spawn(wal, &beside, digests, publisher)?;
    let log = Log { writer, id, files, pending, _lock };
    Ok(inner(home, options, decoder, Some(log), tables, state, counters))
}

/// Opens tables side by side. One that fails does not cut the others off: what reads them takes that for a defect.
async fn all(
    tables: impl IntoIterator<Item = impl Future<Output = Result<LakeTable, StoreError>>>,
) -> Result<Vec<LakeTable>, StoreError> {
    join_all(tables).await.into_iter().collect()
}

/// A table that this process is the only one to write.
async fn own(home: &Home, table: Table) -> Result<LakeTable, StoreError> {
    let mut table = LakeTable::open(home, table).await?;
    // Of a folder it is the lock that says so.
    if home.folder().is_none() {
        table.take_over().await?;
    }
    Ok(table)
}

/// What the log held.
struct Recovered {
    state: State,
    records: u64,
    /// Of all its requests, with the times at which they came.
    digests: Vec<(u128, UnixNanos)>,
}

/// Shows what the log holds beyond what each table has.
fn recover(
    mut state: State,
    replay: Replay,
    decoder: &dyn Decode,
    flushed_of: &[u64; Table::ALL.len()],
) -> Result<Recovered, StoreError> {
    let (mut records, mut digests) = (0, Vec::new());
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
        records += 1;
    }
    Ok(Recovered { state, records, digests })
}

/// A store of which another process writes the home.
pub(super) async fn open_to_read(
    home: Home,
    options: StoreOptions,
    decoder: Arc<dyn Decode>,
) -> Result<Arc<Inner>, StoreError> {
    home.is_there().await?;
    let tables = all(Table::ALL.map(|table| LakeTable::open_to_read(&home, table))).await?;
    let state = Arc::new(Mutex::new(state_of(&tables)));
    let counters = Arc::new(Counters::default());
    let inner = inner(home, options, decoder, None, tables, state, counters);
    inner.follow().await?;
    Ok(inner)
}

fn state_of(tables: &[LakeTable]) -> State {
    State::new(std::array::from_fn(|i| TableFiles {
        version: tables[i].version(),
        files: Arc::new(tables[i].files().to_vec().into()),
    }))
}

fn inner(
    home: Home,
    options: StoreOptions,
    decoder: Arc<dyn Decode>,
    log: Option<Log>,
    tables: Vec<LakeTable>,
    state: Arc<Mutex<State>>,
    counters: Arc<Counters>,
) -> Arc<Inner> {
    let tables = tables.into_iter().map(tokio::sync::Mutex::new).collect::<Vec<_>>();
    Arc::new(Inner {
        options,
        decoder,
        home,
        log,
        state,
        stopped: Mutex::default(),
        following: tokio::sync::Mutex::default(),
        lake: tables.try_into().unwrap_or_else(|_| unreachable!("one per table")),
        counters,
        jobs: Jobs::default(),
        replaced: Mutex::default(),
        flushing: tokio::sync::Mutex::default(),
        settling: Mutex::default(),
        awaited: Mutex::default(),
        retained: Mutex::default(),
        restating: Mutex::default(),
        derived: Default::default(),
        damaged: Default::default(),
        merging: tokio::sync::Mutex::default(),
        turns: tokio::sync::Mutex::default(),
        rolled_up_through: AtomicU64::new(0),
        flush_wanted: tokio::sync::Notify::new(),
        closing: AtomicBool::new(false),
        background: Mutex::default(),
    })
}

/// Takes what is whole out of a damaged log (see [`crate::wal::salvage`]) of a home that nobody has open.
/// Of a log on disk: in a folder of its own, or in the home.
pub fn salvage(home: &Location, apart: Option<&Path>) -> Result<Vec<Salvaged>, StoreError> {
    let (beside, folder) = match (apart, home.folder()) {
        (Some(folder), _) => (folder, folder.to_owned()),
        (None, Some(home)) => (home, home.join(WAL)),
        (None, None) => {
            let problem = "its log is of objects, which are whole or not there: there is nothing to salvage";
            return Err(StoreError::BadFormat { path: home.to_string().into(), problem: problem.into() });
        }
    };
    let _lock = lock(&OsFiles, beside)?;
    crate::wal::salvage(&OsFiles, &folder)
}

/// Checks every data file of a home that nobody has open, and flips back what bits are flipped (see [`crate::lake::mend`]).
pub async fn salvage_data(home: &Location, apart: Option<&Path>) -> Result<Mended, StoreError> {
    // Who has a bucket is known by its commits, and nothing is committed here.
    let _lock = match apart.or(home.folder()) {
        Some(folder) => Some(lock(&OsFiles, folder)?),
        None => None,
    };
    mend(&Home::open(home)?.with_filter_bytes(0)).await
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

/// Where a log is, kept from others.
struct Place {
    files: Arc<dyn Files>,
    folder: PathBuf,
    /// Where the small files are that a restart needs besides: no other log's are there.
    beside: PathBuf,
    _lock: Box<dyn Any + Send + Sync>,
}

fn place(home: &Home, apart: Option<&Path>) -> Result<Place, StoreError> {
    let (files, folder, beside) = match apart {
        Some(folder) => (Arc::new(OsFiles) as Arc<dyn Files>, folder.to_owned(), folder.to_owned()),
        None => home.log(),
    };
    files.create_dir_all(&beside).map_err(StoreError::io(&beside))?;
    let lock = lock(&*files, &beside)?;
    Ok(Place { files, folder, beside, _lock: lock })
}

fn lock(files: &dyn Files, folder: &Path) -> Result<Box<dyn Any + Send + Sync>, StoreError> {
    files.lock(folder).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => StoreError::Locked { path: folder.to_owned() },
        _ => StoreError::io(folder)(error),
    })
}
