//! Far more than the server can take: it says so in the protocol's words, its memory stays bounded, what was acknowledged
//! is there, and it takes new work as soon as the flood is over.

use std::sync::Arc;

use axum::http::StatusCode;

use crate::harness::{Server, eventually};
use crate::wire::{INTERNAL, With, post, span, text, traces};

const CLIENTS: u64 = 48;
const REQUESTS: u64 = 120;
const SPANS_PER_REQUEST: u64 = 100;
/// A small tail, so that a test's flood is a flood.
const SETTINGS: &[(&str, &str)] = &[
    ("PLIMSOLL__STORE__TAIL_BYTES_MAX", "16MiB"),
    ("PLIMSOLL__STORE__FLUSH_BYTES", "8MiB"),
    ("PLIMSOLL__STORE__SETTLE_AFTER", "300ms"),
];
/// Half of what is sent, some 1.4 GB; and twice what the tail, a flush and the requests under way take.
const PEAK_BYTES_MAX: u64 = 700 << 20;

fn request(client: u64, n: u64) -> Vec<u8> {
    let at = 1_760_000_000_000_000_000 + n * 1_000_000;
    let spans = (0..SPANS_PER_REQUEST).map(|i| {
        let id = (client << 40) + (n << 16) + i + 1;
        // No two prompts are the same.
        let prompt = format!("{id:x} ").repeat(200);
        let mut span = span(0, id, 0, INTERNAL, "work", at, at + 5_000_000).with("prompt", text(&prompt));
        span.trace_id = [client.to_be_bytes(), (n + 1).to_be_bytes()].concat();
        span
    });
    traces(vec![("flood", spans.collect())])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_refused_in_words_and_nothing_acknowledged_is_lost() {
    let home = tempfile::tempdir().expect("a folder");
    let server = Server::start(home.path(), SETTINGS);
    let url: Arc<str> = format!("{}/v1/traces", server.otlp_http).into();
    let headers = [("content-type", "application/x-protobuf")];
    let clients: Vec<_> = (1..=CLIENTS)
        .map(|client| {
            let url = url.clone();
            tokio::spawn(async move {
                let (mut accepted, mut refused) = (0, 0);
                for n in 0..REQUESTS {
                    let answer = post(&url, &headers, request(client, n)).await.expect("it answers");
                    match answer.status {
                        StatusCode::OK => accepted += 1,
                        StatusCode::SERVICE_UNAVAILABLE => {
                            let wait = answer.headers.get("retry-after").expect("says when to come back");
                            let wait: u64 = wait.to_str().expect("text").parse().expect("seconds");
                            assert!(wait >= 1, "{wait}");
                            refused += 1;
                        }
                        other => panic!("{other}: {}", String::from_utf8_lossy(&answer.body)),
                    }
                }
                (accepted, refused)
            })
        })
        .collect();
    let (mut accepted, mut refused) = (0, 0);
    for client in clients {
        let (yes, no) = client.await.expect("the client ends");
        (accepted, refused) = (accepted + yes, refused + no);
    }
    assert!(accepted > 0 && refused > 0, "{accepted} accepted, {refused} refused");
    eventually("it takes new work", async || {
        post(&url, &headers, request(CLIENTS + 1, 0)).await.is_ok_and(|a| a.status == StatusCode::OK)
    })
    .await;
    let expected = (accepted + 1) * SPANS_PER_REQUEST;
    assert_eq!(server.number("SELECT count(*) FROM spans").await as u64, expected);
    assert_eq!(server.number("SELECT count(DISTINCT span_id) FROM spans").await as u64, expected);
    let system = server.get_ok("/api/v1/system").await;
    assert!(system["ingest"]["refused"].as_u64().is_some_and(|n| n >= refused), "{system}");
    assert!(server.peak_bytes() < PEAK_BYTES_MAX, "{} bytes", server.peak_bytes());
}
