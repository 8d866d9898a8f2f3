//! A disk that is full, or slow: what cannot be kept is refused, what was acknowledged stays, and when the disk is well again so is the
//! store.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use plimsoll_schemas::Tenant;
use plimsoll_store::files::faulty::FaultyFiles;
use plimsoll_store::{Home, IngestError, RecordKind, Store, StoreOptions};

use super::crashes::{FED, HOUR, Numbered, found, idle, rows};

const FOLDER: &str = "/home";

async fn open(files: &FaultyFiles, options: impl FnOnce(StoreOptions) -> StoreOptions) -> Store {
    let home = Home::on_disk(Arc::new(files.clone()), Path::new(FOLDER)).expect("a folder");
    let options = options(StoreOptions::new(Path::new(FOLDER)));
    Store::open_at(home, options, Arc::new(Numbered)).await.expect("opens")
}

async fn send(store: &Store, request: u32) -> Result<(), IngestError> {
    let tenant = Tenant::new(Tenant::DEFAULT).expect("a tenant");
    store.ingest(RecordKind::Traces, tenant, Bytes::from(request.to_string())).await.map(drop)
}

fn check(store: &Store, requests: u32, when: &str) {
    let expected: Vec<_> = (0..requests).flat_map(rows).map(|r| (r.trace, r.start)).collect();
    for table in FED {
        let there = found(table, &store.snapshot()).expect("readable");
        assert_eq!(there, expected, "{} {when}", table.as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_keeps_what_was_acknowledged_and_is_written_to_again_when_there_is_room() {
    let files = FaultyFiles::new(0);
    let store = open(&files, idle).await;
    for request in 0..3 {
        send(&store, request).await.expect("acknowledged");
    }
    files.fill(true);
    let error = store.settle_all().await.expect_err("there is no room for files").to_string();
    assert!(error.contains("/home"), "it says where: {error}");
    check(&store, 3, "while the disk is full");
    let drafts = files.all().into_iter().filter(|file| file.starts_with(Path::new(FOLDER).join("drafts")));
    assert_eq!(drafts.count(), 0, "what could not be written takes no room");
    // The log's room was set aside.
    send(&store, 3).await.expect("acknowledged");
    assert!(store.status().poisoned.is_none(), "a full disk is not for ever");
    check(&store, 4, "while the disk is full");
    files.fill(false);
    store.settle_all().await.expect("there is room");
    check(&store, 4, "when there is room again");
    store.close(HOUR).await.expect("closes");
    check(&open(&files.clone(), idle).await, 4, "after a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_is_waited_for_within_bounds() {
    let files = FaultyFiles::new(0);
    // Traces that are not settled stay in memory, flushed or not.
    let settle_after = Duration::from_millis(10);
    let bounded = |options| StoreOptions {
        flush_bytes: 8 << 10,
        tail_bytes_max: 64 << 10,
        settle_after,
        ..idle(options)
    };
    let store = open(&files, bounded).await;
    // The log is as quick as ever.
    files.stall(Some(&Path::new(FOLDER).join("wal")));
    let mut requests = 0;
    let refused = loop {
        match send(&store, requests).await {
            Ok(()) => requests += 1,
            Err(error) => break error,
        }
        assert!(requests < 10_000, "the tail is bounded");
    };
    let IngestError::Overloaded { retry_after, .. } = refused else { panic!("{refused}") };
    assert!(retry_after >= Duration::from_secs(1));
    assert!(store.status().tail_bytes < 2 * (64 << 10), "{}", store.status().tail_bytes);
    check(&store, requests, "while the disk is slow");
    files.stall(None);
    // It takes up work by itself.
    while send(&store, requests).await.is_err() {
        tokio::task::yield_now().await;
    }
    requests += 1;
    store.settle_all().await.expect("settles");
    check(&store, requests, "when the disk is quick again");
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_are_waited_for_only_as_long_as_there_is_room() {
    let files = FaultyFiles::new(0);
    let bounded = |options| StoreOptions { flush_bytes: 8 << 10, tail_bytes_max: 64 << 10, ..idle(options) };
    let store = open(&files, bounded).await;
    let mut requests = 0;
    while send(&store, requests).await.is_ok() {
        requests += 1;
        assert!(requests < 10_000, "the tail is bounded");
    }
    // An hour's wait would be refusals for an hour.
    let accepted = async {
        while send(&store, requests).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HOUR / 60, accepted).await.expect("there is room before the hour is over");
    check(&store, requests + 1, "when there is room again");
}
