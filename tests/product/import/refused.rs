//! A server that is busy is waited for; an item that it cannot keep does not cost its neighbours.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::harness::plimsoll;

fn span(n: u64, start: &str) -> Value {
    json!({"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": format!("{n:016x}"), "name": "op",
        "startTimeUnixNano": start, "endTimeUnixNano": "1700000000000001000"})
}

fn request(spans: &[Value]) -> String {
    json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).to_string()
}

#[test]
fn a_span_that_cannot_be_kept_is_told_and_its_neighbours_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("spans.jsonl");
    let good = "1700000000000000000";
    // Within a request of its own, and among others of one.
    let first: Vec<Value> = (1..=50).map(|n| span(n, if n == 17 { "soon" } else { good })).collect();
    std::fs::write(
        &path,
        [request(&first), request(&[span(60, "-5")]), request(&[span(61, good)])].join("\n"),
    )
    .expect("written");
    let home = folder.path().join("home");
    let done = plimsoll().arg("import").arg(&path).arg("--home").arg(&home).output().expect("it runs");
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "the file is whole: {told}");
    assert!(told.contains("2 could not be kept") && told.contains("startTimeUnixNano must be"), "{told}");
    assert!(String::from_utf8_lossy(&done.stdout).contains("1 trace, 50 spans"), "{done:?}");
    assert_eq!(spans(&home), "50");
}

fn spans(home: &Path) -> String {
    let asked = ["sql", "SELECT count(*) FROM spans", "--format", "csv", "--home"];
    let asked = plimsoll().args(asked).arg(home).output().expect("it runs");
    String::from_utf8_lossy(&asked.stdout).lines().nth(1).unwrap_or_default().to_owned()
}

/// What was asked of a server, by path.
type Asked = Arc<Mutex<HashMap<String, Vec<Bytes>>>>;

/// Busy at the first of each path, then content with everything.
async fn busy_at_first(State(asked): State<Asked>, uri: Uri, body: Bytes) -> Response {
    let mut asked = asked.lock().expect("not poisoned");
    let before = asked.entry(uri.path().to_owned()).or_default();
    before.push(body);
    if before.len() == 1 {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")]).into_response();
    }
    axum::Json(json!({"rows": [], "truncated": false})).into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_waited_for() {
    let asked = Asked::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = Router::new().fallback(busy_at_first).with_state(asked.clone());
    tokio::spawn(async { axum::serve(listener, server).await });
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("spans.json");
    std::fs::write(&path, request(&[span(1, "1700000000000000000")])).expect("written");
    let mut import = tokio::process::Command::from(plimsoll());
    let done = import.arg("import").arg(&path).args(["--url", &url, "--otlp-url", &url]).output().await;
    let done = done.expect("it runs");
    assert!(done.status.success(), "{done:?}");
    let asked = asked.lock().expect("not poisoned");
    for path in ["/api/v1/sql", "/v1/traces"] {
        let bodies = &asked[path];
        assert_eq!(bodies.len(), 2, "{path}");
        assert_eq!(bodies[0], bodies[1], "the same again: {path}");
    }
}
