//! Logs in folders of their own, of several servers beside one another.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use plimsoll_schemas::Tenant;
use plimsoll_store::{RecordKind, Store, StoreOptions};

use super::crashes::{FED, HOUR, Numbered, found, idle};

async fn open(folder: &Path, name: &str) -> Store {
    let options = StoreOptions {
        wal: Some(folder.join("logs").join(name)),
        ..idle(StoreOptions::new(folder.join(name).as_path()))
    };
    Store::open(options, Arc::new(Numbered)).await.expect("opens")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_server_was_sent_is_kept_by_the_other_too() {
    let folder = tempfile::tempdir().expect("a folder");
    // Both are sent the same by one collector, and the second one starts again when the first one has flushed.
    let second = open(folder.path(), "second").await;
    let first = open(folder.path(), "first").await;
    for store in [&first, &second] {
        send(store, 1).await;
        store.settle_all().await.expect("settles");
    }
    second.close(HOUR).await.expect("closes");
    send(&first, 2).await;
    first.settle_all().await.expect("settles");
    drop(second);
    let second = open(folder.path(), "second").await;
    send(&second, 2).await;
    for table in FED {
        let of = |store: &Store| found(table, &store.snapshot()).expect("readable");
        assert_eq!(of(&second), of(&first), "{}", table.as_str());
    }
}

async fn send(store: &Store, request: u32) {
    let tenant = Tenant::new(Tenant::DEFAULT).expect("a tenant");
    let payload = Bytes::from(request.to_string());
    store.ingest(RecordKind::Traces, tenant, payload).await.expect("acknowledged");
}
