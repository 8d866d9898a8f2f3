//! `kill -9` while requests are in flight: what was acknowledged is there, once.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::harness::{Server, eventually};
use crate::wire::{INTERNAL, With, post, span, text, traces};

/// Of one lake, at the end of which it is looked at. More lakes with `PLIMSOLL_CRASH_ROUNDS`.
const ROUNDS: usize = 20;
const CLIENTS: u64 = 4;
/// The client whose spans nobody keeps.
const TRIAL: u64 = 0;
const SPANS_PER_REQUEST: u64 = 25;

/// Flushes come often, so that the kill finds the store in every state; and in every file there are rows that retention takes
/// out, beside others that stay.
pub const SETTINGS: &[(&str, &str)] = &[
    ("PLIMSOLL__RETENTION__RULES", "[{ tenant: trial, keep_days: 1 }]"),
    ("PLIMSOLL__STORE__FLUSH_AFTER", "100ms"),
    ("PLIMSOLL__STORE__SETTLE_AFTER", "100ms"),
    ("PLIMSOLL__STORE__MERGE_EVERY", "200ms"),
];

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_spans_survive_kill_9_once_each() {
    let rounds = std::env::var("PLIMSOLL_CRASH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    for lake in 0..rounds.div_ceil(ROUNDS) {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().to_str().expect("UTF-8");
        survives_kill_9(home, folder.path(), SETTINGS, ROUNDS, 20 + lake as u64).await;
        println!("nothing lost and nothing twice after {} rounds", (lake + 1) * ROUNDS);
    }
}

/// Clients send all the time, and the server is killed again and again.
pub async fn survives_kill_9(home: &str, folder: &Path, settings: &[(&str, &str)], rounds: usize, seed: u64) {
    // One address for all rounds, as a client's configuration has it.
    let address =
        TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").to_string();
    let done = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..=CLIENTS)
        .map(|client| tokio::spawn(export_until(client, address.clone(), done.clone(), acknowledged.clone())))
        .collect();
    let mut random = SmallRng::seed_from_u64(seed);
    for _ in 0..rounds {
        let server = Server::start_on(home, folder, settings, &address);
        // Something must be under way before it is killed, at a moment that nobody chose.
        let before = acknowledged.load(Ordering::Relaxed);
        while acknowledged.load(Ordering::Relaxed) < before + CLIENTS {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..400))).await;
        server.kill();
    }
    let server = Server::start_on(home, folder, settings, &address);
    done.store(true, Ordering::Relaxed);
    let mut expected = BTreeSet::new();
    for (client, sent) in clients.into_iter().enumerate() {
        let sent = sent.await.expect("the client ends");
        if client as u64 != TRIAL {
            expected.extend(sent);
        }
    }
    for state in ["as it is after the crashes", "after everything has moved"] {
        let rows = server.sql("SELECT span_id FROM spans WHERE tenant <> 'trial'").await;
        let found: BTreeSet<String> =
            rows.iter().map(|row| row[0].as_str().expect("an id").to_owned()).collect();
        assert_eq!(rows.len(), found.len(), "{state}: spans are there twice");
        let lost: Vec<_> = expected.difference(&found).take(3).collect();
        assert!(lost.is_empty(), "{state}: lost {lost:?}");
        assert_eq!(found.len(), expected.len(), "{state}: spans that nobody was told of");
        server.settled().await;
    }
    eventually("what is not kept is gone", async || {
        server.number("SELECT count(*) FROM spans WHERE tenant = 'trial'").await == 0
    })
    .await;
}

/// Sends requests until told to stop, each until it is acknowledged; gives back the ids of all spans.
async fn export_until(
    client: u64,
    address: String,
    done: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
) -> Vec<String> {
    let url = format!("http://{address}/v1/traces");
    let mut sent = Vec::new();
    let mut next = client << 32;
    while !done.load(Ordering::Relaxed) {
        let spans: Vec<_> = (0..SPANS_PER_REQUEST)
            .map(|_| {
                next += 1;
                sent.push(format!("{next:016x}"));
                let start = 1_700_000_000_000_000_000 + (next & 0xffff_ffff) * 1_000_000;
                let mut span =
                    span(0, next, 0, INTERNAL, "work", start, start + 5_000_000).with("client", text("c"));
                span.trace_id = [next.to_be_bytes(), client.to_be_bytes()].concat();
                span
            })
            .collect();
        let request = traces(vec![("crash", spans)]);
        loop {
            let tenant = if client == TRIAL { "trial" } else { "default" };
            let headers = [("content-type", "application/x-protobuf"), ("x-scope-orgid", tenant)];
            let answer = post(&url, &headers, request.clone()).await;
            if answer.is_ok_and(|a| a.status == StatusCode::OK) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    sent
}
