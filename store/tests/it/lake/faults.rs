//! The whole store on a disk that fails on purpose: a crash before each operation that changes it, a loss of power there, and
//! random faults in long lives. What was acknowledged is there, and nothing is there twice, in every table that the log feeds.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use plimsoll_schemas::{Tenant, UnixNanos};
use plimsoll_store::files::faulty::{Fault, FaultyFiles, Moment, Restart};
use plimsoll_store::{Home, RecordKind, Store, StoreError, StoreOptions};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::crashes::{FED, HOUR, Numbered, found, idle, rows};

/// Lives of random faults; more of them with `PLIMSOLL_FAULT_RUNS`.
const RUNS: u64 = 40;
const FOLDER: &str = "/home";

async fn open(files: &FaultyFiles) -> Result<Store, StoreError> {
    let home = Home::on_disk(Arc::new(files.clone()), Path::new(FOLDER))?;
    let options = StoreOptions::new(Path::new(FOLDER));
    Store::open_at(home, idle(options), Arc::new(Numbered)).await
}

async fn send(store: &Store, request: u64) -> bool {
    let tenant = Tenant::new(Tenant::DEFAULT).expect("a tenant");
    store.ingest(RecordKind::Traces, tenant, Bytes::from(request.to_string())).await.is_ok()
}

/// Each request that was acknowledged is there once, and none twice; answers which are there. What cannot be read answers nothing.
fn look(store: &Store, acknowledged: &BTreeSet<u64>, when: &str) -> Result<BTreeSet<u64>, StoreError> {
    let snapshot = store.snapshot();
    let mut of_tables = Vec::new();
    for table in FED {
        let there = found(table, &snapshot)?;
        let requests: BTreeSet<u64> = there.iter().map(|(request, _)| u64::from(*request)).collect();
        let whole: Vec<_> =
            requests.iter().flat_map(|r| rows(*r as u32)).map(|row| (row.trace, row.start)).collect();
        assert_eq!(there, whole, "{}: rows twice, or a part of a request, {when}", table.as_str());
        let lost: Vec<_> = acknowledged.difference(&requests).collect();
        assert!(lost.is_empty(), "{}: lost {lost:?} {when}", table.as_str());
        of_tables.push(requests);
    }
    assert_eq!(of_tables[0], of_tables[1], "{when}");
    Ok(of_tables.remove(0))
}

fn check(store: &Store, acknowledged: &BTreeSet<u64>, when: &str) -> BTreeSet<u64> {
    look(store, acknowledged, when).unwrap_or_else(|error| panic!("{when}: {error}"))
}

/// What was there once stays, through what the next lives do with it.
async fn recovers(files: &FaultyFiles, acknowledged: &BTreeSet<u64>, when: &str) {
    let store = open(files).await.unwrap_or_else(|error| panic!("{when}: {error}"));
    let there = check(&store, acknowledged, when);
    store.settle_all().await.unwrap_or_else(|error| panic!("{when}: {error}"));
    assert_eq!(check(&store, &there, &format!("{when}, after a flush")), there);
    store.close(HOUR).await.unwrap_or_else(|error| panic!("{when}: {error}"));
    let left: Vec<_> =
        files.all().into_iter().filter(|f| f.extension().is_some_and(|e| e == "log")).collect();
    assert!(left.is_empty(), "a clean stop leaves no log {when}: {left:?}");
    let store = open(&files.next_process(Restart::PowerLost)).await.expect("opens");
    assert_eq!(check(&store, &there, &format!("{when}, after a clean stop and a loss of power")), there);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_any_change_of_the_disk_loses_nothing_and_repeats_nothing() {
    let files = FaultyFiles::new(0);
    let store = open(&files).await.expect("opens");
    let acknowledged = Arc::new(AtomicU64::new(0));
    let send_all = async |requests: std::ops::Range<u64>| {
        for request in requests {
            assert!(send(&store, request).await);
            acknowledged.store(request + 1, Ordering::Release);
        }
    };
    send_all(0..2).await;
    store.settle_all().await.expect("settles, flushes and merges");
    files.record(acknowledged.clone());
    send_all(2..4).await;
    store.settle_all().await.expect("settles, flushes and merges");
    send_all(4..5).await;
    store.close(HOUR).await.expect("closes");
    let moments = files.moments();
    assert!(moments.len() > 150, "{} changes are fewer than a flush, a merge and a stop make", moments.len());
    let count = moments.len();
    for (at, Moment { files, mark }) in moments.into_iter().enumerate() {
        let how = if at % 2 == 0 { Restart::PowerLost } else { Restart::Killed };
        let acknowledged = (0..mark).collect();
        recovers(&files.next_process(how), &acknowledged, &format!("{how:?} before change {at} of {count}"))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_faults_in_long_lives_lose_nothing_and_repeat_nothing() {
    let runs = std::env::var("PLIMSOLL_FAULT_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(RUNS);
    let first = std::env::var("PLIMSOLL_FAULT_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    for seed in first..first + runs {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut files = FaultyFiles::new(seed);
        let (mut acknowledged, mut next) = (BTreeSet::new(), 0_u64);
        for life in 0..random.random_range(2..5) {
            let fault =
                [Fault::Crash, Fault::ShortWrite, Fault::SyncFails, Fault::Full][random.random_range(0..4)];
            let at = files.operations() + random.random_range(0..1_500);
            files.fail_at(at, fault);
            let when = format!("with seed {seed} in life {life} ({fault:?} at operation {at})");
            let opened = open(&files).await;
            if let Ok(store) = &opened {
                let _ = look(store, &acknowledged, &when);
                for _ in 0..random.random_range(1..12) {
                    // What fails, fails; what it left behind is what counts.
                    match random.random_range(0..10) {
                        0..=5 => {
                            if send(store, next).await {
                                acknowledged.insert(next);
                            }
                            next += 1;
                        }
                        6..=7 => drop(store.settle_all().await),
                        8 => drop(store.retain(UnixNanos(0)).await),
                        _ => drop(look(store, &acknowledged, &when)),
                    }
                }
                if random.random_bool(0.3) {
                    let _ = store.close(HOUR).await;
                }
            }
            let how = if random.random_bool(0.5) { Restart::PowerLost } else { Restart::Killed };
            files = files.next_process(how);
            // What still runs of it can do nothing any more, and ends.
            if let Ok(store) = opened {
                let _ = store.close(HOUR).await;
            }
        }
        recovers(&files, &acknowledged, &format!("with seed {seed} in the end")).await;
    }
}
