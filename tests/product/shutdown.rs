//! SIGTERM: everything is in files, nothing is left to replay, and the lake stands by itself.

use std::path::Path;

use crate::harness::{Server, eventually, plimsoll};
use crate::wire::{SERVER, span, traces};

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_flushes_and_leaves_no_log() {
    let home = tempfile::tempdir().expect("a folder");
    // Nothing moves by itself within the test: only the end can do it.
    let idle = [("PLIMSOLL__STORE__FLUSH_AFTER", "1h"), ("PLIMSOLL__STORE__SETTLE_AFTER", "1h")];
    let server = Server::start(home.path(), &idle);
    let now = 1_760_000_000_000_000_000;
    for trace in 1..=30 {
        server
            .export(
                "default",
                traces(vec![("s", vec![span(trace, u64::from(trace), 0, SERVER, "r", now, now + 1_000)])]),
            )
            .await;
    }
    assert_eq!(server.number("SELECT count(*) FROM spans").await, 30);
    let status = server.terminate();
    assert!(status.success(), "{status}");
    assert_eq!(log_bytes(&home.path().join("wal")), 0, "a log is left");
    let server = Server::start(home.path(), &[]);
    assert_eq!(server.number("SELECT count(*) FROM spans").await, 30);
    assert_eq!(server.number("SELECT count(*) FROM traces").await, 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_is_used_by_one_server_at_a_time() {
    let home = tempfile::tempdir().expect("a folder");
    let _first = Server::start(home.path(), &[]);
    let second = plimsoll()
        .args([
            "serve",
            "--listen-http",
            "127.0.0.1:0",
            "--listen-otlp-grpc",
            "off",
            "--listen-otlp-http",
            "off",
            "--home",
        ])
        .arg(home.path())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && said.contains(&home.path().display().to_string()), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_when_it_says_so() {
    let home = tempfile::tempdir().expect("a folder");
    let server = Server::start(home.path(), &[]);
    assert_eq!(server.get("/readyz").await.0, 200);
    assert_eq!(server.get("/healthz").await.0, 200);
    eventually("the ports are told", async || server.otlp_grpc.starts_with("http://127.0.0.1:")).await;
}

/// What segments of the log hold; a folder without any is as good as none.
fn log_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.filter_map(|e| e.ok()?.metadata().ok()).filter(|m| m.is_file()).map(|m| m.len()).sum()
}
