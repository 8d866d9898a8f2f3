//! A process that dies between any two steps of flush, commit and letting go of the log: what was acknowledged is there
//! once, in every table that the log feeds.
//!
//! The steps are taken from the disk: the store is copied before and after a flush, and each state between the two
//! is put together from the copies. What a power cut loses of what was not synced is not imitated here.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use plimsoll_schemas::Tenant;
use plimsoll_schemas::table::Table;
use plimsoll_store::lake::read_file;
use plimsoll_store::{
    Decode, DecodeError, Decoded, RecordKind, RecordMeta, Snapshot, Store, StoreError, StoreOptions,
};

use super::{Row, batch, rows_of};

/// The tables that a request has rows for, in the order of their commits.
pub const FED: [Table; 2] = [Table::Verdicts, Table::Spans];
pub const HOUR: Duration = Duration::from_secs(3_600);

/// A request is its number; its rows are two spans and two verdicts of one trace.
#[derive(Debug)]
pub struct Numbered;

pub fn rows(request: u32) -> Vec<Row> {
    let start = i64::from(super::DAY) * super::DAY_NS + i64::from(request) * 1_000;
    [start, start + 1].map(|start| Row { trace: request, start, seq: 0 }).to_vec()
}

impl Decode for Numbered {
    fn decode(&self, _: &RecordMeta, payload: &[u8]) -> Result<Decoded, DecodeError> {
        let request = std::str::from_utf8(payload).ok().and_then(|text| text.parse().ok());
        let rows = rows(request.ok_or_else(|| DecodeError("no number".into()))?);
        let key = |row: &Row| {
            let span_id = format!("{:016x}", row.start + 1);
            (row.trace_id().parse().expect("an id"), span_id.parse().expect("an id"))
        };
        let without_sequence = |table: Table| {
            let mut batch = batch(table, &rows);
            batch.remove_column(batch.num_columns() - 1);
            (table, batch)
        };
        Ok(Decoded {
            batches: FED.map(without_sequence).to_vec(),
            span_keys: rows.iter().map(key).collect(),
            ..Decoded::default()
        })
    }
}

/// Nothing happens by itself.
pub fn idle(options: StoreOptions) -> StoreOptions {
    StoreOptions { flush_after: HOUR, settle_after: HOUR, settle_at_most: HOUR, merge_every: HOUR, ..options }
}

async fn open(home: &Path) -> Store {
    let options = idle(StoreOptions::new(home));
    loop {
        match Store::open(options.clone(), Arc::new(Numbered)).await {
            // The last task of the store before still lets go of it.
            Err(StoreError::Locked { .. }) => tokio::task::yield_now().await,
            opened => return opened.expect("opens"),
        }
    }
}

async fn close(store: Store) {
    store.close(HOUR).await.expect("closes");
}

async fn send(store: &Store, requests: std::ops::Range<u32>) {
    for request in requests {
        let payload = Bytes::from(request.to_string());
        let tenant = Tenant::new(Tenant::DEFAULT).expect("a tenant");
        store.ingest(RecordKind::Traces, tenant, payload).await.expect("acknowledged");
    }
}

pub fn found(table: Table, snapshot: &Snapshot) -> Result<Vec<(u32, i64)>, StoreError> {
    let of = snapshot.table(table);
    let mut batches = of.tail.to_vec();
    for file in of.files.iter() {
        for batch in read_file(table, file)? {
            batches.push(batch?);
        }
    }
    let rows = batches.iter().flat_map(|batch| rows_of(table, batch));
    let mut found: Vec<_> = rows.map(|row| (row.trace, row.start)).collect();
    found.sort();
    Ok(found)
}

/// Opens what a crash left, twice: as it is, and after the recovered rows went to the lake themselves.
async fn check(home: &Path, requests: u32, crash: &str) {
    let expected: Vec<_> = (0..requests).flat_map(rows).map(|r| (r.trace, r.start)).collect();
    for life in ["recovered", "flushed again"] {
        let store = open(home).await;
        for table in FED {
            assert_eq!(
                found(table, &store.snapshot()).expect("readable"),
                expected,
                "{} {life} after {crash}",
                table.as_str()
            );
        }
        close(store).await;
    }
}

fn files(root: &Path) -> BTreeSet<PathBuf> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![root.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(root).expect("below").to_path_buf());
            }
        }
    }
    found
}

fn copy(from: &Path, to: &Path, file: &Path) {
    let target = to.join(file);
    fs::create_dir_all(target.parent().expect("a folder")).expect("made");
    fs::copy(from.join(file), target).expect("copied");
}

fn copy_all(from: &Path, to: &Path) {
    files(from).iter().for_each(|file| copy(from, to, file));
}

/// Where in the order of the commits a new file belongs: data files come first, in any order.
fn commit_order(file: &Path) -> usize {
    let order = ["log_records", "verdicts", "edges", "attempts", "stage_runs", "traces", "spans"];
    let table = order.iter().position(|table| file.starts_with(Path::new(table).join("_delta_log")));
    table.map_or(0, |position| position + 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_step_of_a_flush_loses_nothing_and_repeats_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (home, before) = (folder.path().join("home"), folder.path().join("before"));
    let store = open(&home).await;
    send(&store, 0..3).await;
    close(store).await;
    let store = open(&home).await;
    send(&store, 3..6).await;
    copy_all(&home, &before);
    close(store).await;

    let (old, new) = (files(&before), files(&home));
    let mut made: Vec<_> = new.difference(&old).cloned().collect();
    made.sort_by_key(|file| (commit_order(file), file.clone()));
    let gone: Vec<_> = old.difference(&new).cloned().collect();
    assert!(made.iter().any(|f| commit_order(f) == 7), "the spans' commit: {made:?}");
    assert!(gone.iter().any(|f| f.extension().is_some_and(|e| e == "log")), "the log's segment: {gone:?}");

    for done in 0..=made.len() + gone.len() {
        let crashed = folder.path().join(format!("crashed-{done}"));
        copy_all(&before, &crashed);
        made.iter().take(done).for_each(|file| copy(&home, &crashed, file));
        for file in gone.iter().take(done.saturating_sub(made.len())) {
            fs::remove_file(crashed.join(file)).expect("was there");
        }
        // A data file is under its name before it is whole.
        let half = made.get(done).filter(|file| commit_order(file) == 0);
        if let Some(file) = half {
            copy(&home, &crashed, file);
            let half = fs::read(crashed.join(file)).expect("readable");
            fs::write(crashed.join(file), &half[..half.len() / 2]).expect("writable");
        }
        check(&crashed, 6, &format!("{done} steps of {made:?}, {gone:?}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_that_fails_between_two_tables_is_finished_and_not_repeated() {
    let home = tempfile::tempdir().expect("a folder");
    let store = open(home.path()).await;
    send(&store, 0..3).await;
    let log = home.path().join("spans/_delta_log");
    let away = home.path().join("spans/_away");
    fs::rename(&log, &away).expect("renamed");
    fs::write(&log, "no folder").expect("written");
    store.settle_all().await.expect_err("the spans cannot be committed");
    send(&store, 3..4).await;
    let expected: Vec<_> = (0..4).flat_map(rows).map(|r| (r.trace, r.start)).collect();
    for table in FED {
        assert_eq!(
            found(table, &store.snapshot()).expect("readable"),
            expected,
            "{} in between",
            table.as_str()
        );
    }
    fs::remove_file(&log).expect("was there");
    fs::rename(&away, &log).expect("renamed");
    close(store).await;
    check(home.path(), 4, "a failed flush").await;
}
