//! The write-ahead log on a file system that fails on purpose, and on the real one.

mod crashes;
mod damage;
mod faults;
mod real;
mod salvage;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use plimsoll_schemas::{Tenant, UnixNanos};
use plimsoll_store::files::faulty::FaultyFiles;
use plimsoll_store::wal::{Record, Wal};
use plimsoll_store::{RecordKind, RecordMeta, StoreError};

/// Room for a header and four of [`payload`]'s records.
const SEGMENT_BYTES: u64 = 250;

fn folder() -> &'static Path {
    Path::new("home/wal")
}

fn meta(ingest: i64) -> RecordMeta {
    RecordMeta { kind: RecordKind::Traces, tenant: Tenant::default(), ingest: UnixNanos(ingest) }
}

/// The `n`th request's payload; no two are the same.
fn payload(n: u64) -> Bytes {
    format!("request {n:>4} {}", "x".repeat(n as usize % 23)).into()
}

fn open(files: &FaultyFiles) -> Result<(Wal, Vec<Record>), StoreError> {
    open_above(files, 0)
}

fn open_above(files: &FaultyFiles, floor: u64) -> Result<(Wal, Vec<Record>), StoreError> {
    let (wal, replay) = Wal::open(Arc::new(files.clone()), folder(), floor)?;
    let records = replay.collect::<Result<Vec<_>, _>>()?;
    Ok((wal.with_segment_bytes_max(SEGMENT_BYTES), records))
}

/// Appends requests as one group.
fn append(wal: &mut Wal, requests: impl IntoIterator<Item = u64>) -> Result<u64, StoreError> {
    let requests = requests.into_iter().map(|n| (meta(n as i64), payload(n))).collect::<Vec<_>>();
    wal.append(requests.iter().map(|(meta, payload)| (meta, payload.as_ref())))
}

/// Which requests the records are, after checking that they are whole and in order.
fn requests(records: &[Record]) -> Vec<u64> {
    assert!(records.is_sorted_by(|a, b| a.seq < b.seq), "out of order: {records:?}");
    let request = |r: &Record| {
        let n = r.meta.ingest.0 as u64;
        assert_eq!(r.payload, payload(n), "not the payload that was written");
        n
    };
    records.iter().map(request).collect()
}

fn segments(files: &FaultyFiles) -> Vec<PathBuf> {
    use plimsoll_store::files::Files;
    let mut paths = files.list(folder()).expect("no fault");
    paths.retain(|p| p.extension().is_some_and(|e| e == "log"));
    paths
}
