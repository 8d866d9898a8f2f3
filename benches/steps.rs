//! What does each step of a span's way cost, next to the least that it could?
//!
//! `cargo bench --bench steps -- --spans 500000`: the store in this process, one request after the other, each step's CPU time apart.

#[allow(dead_code)] // Each bench uses its part of what they share.
mod common;

use std::sync::Arc;
use std::time::Duration;

use common::argument;
use common::load::Load;
use plimsoll_collector::OtlpDecoder;
use plimsoll_schemas::{Tenant, UnixNanos};
use plimsoll_store::{Decode, RecordKind, RecordMeta, Store, StoreOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let spans = argument("spans", 500_000) as usize;
    let mut load = Load::new(7, now() - 3_600_000_000_000, 60_000_000);
    let (mut requests, mut sent) = (Vec::new(), 0);
    while sent < spans {
        let request = load.request();
        sent += request.spans;
        requests.push(axum::body::Bytes::from(request.bytes));
    }
    let report = |what: &str, cpu: Duration| {
        println!("{what:<40} {:.2} µs a span", cpu.as_secs_f64() * 1e6 / sent as f64);
    };
    let meta =
        RecordMeta { kind: RecordKind::Traces, tenant: Tenant::default(), ingest: UnixNanos(now() as i64) };
    let begun = cpu();
    for request in &requests {
        std::hint::black_box(OtlpDecoder.decode(&meta, request).expect("decodes"));
    }
    report("decode", cpu() - begun);
    let home = tempfile::tempdir().expect("a temporary folder");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let options = || StoreOptions {
            merge_every: Duration::from_secs(86_400),
            settle_after: Duration::from_secs(3_600),
            settle_at_most: Duration::from_secs(3_600),
            flush_after: Duration::from_secs(3_600),
            flush_bytes: 4 << 30,
            tail_bytes_max: 8 << 30,
            ..StoreOptions::new(home.path())
        };
        let decoder: Arc<dyn Decode> = Arc::new(OtlpDecoder);
        let store = Store::open(options(), decoder.clone()).await.expect("opens");
        let begun = cpu();
        for request in requests {
            store.ingest(RecordKind::Traces, Tenant::default(), request).await.expect("accepts");
        }
        report("ingest: decode, log, tail", cpu() - begun);
        let begun = cpu();
        store.close(Duration::from_secs(600)).await.expect("closes");
        report("settle and flush", cpu() - begun);
        drop(store);
        let store = Store::open(options(), decoder).await.expect("opens");
        let begun = cpu();
        store.settle_all().await.expect("merges");
        report("merge", cpu() - begun);
        store.close(Duration::from_secs(600)).await.expect("closes");
    });
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    since.as_nanos() as u64
}

/// User and system, of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("procfs");
    let after_name = stat.rsplit_once(')').expect("a stat line").1;
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).map(|t| t.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 10)
}
