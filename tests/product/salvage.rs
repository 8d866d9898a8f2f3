//! A log that rotted: the server refuses to start over it and says what to do; that done, everything that is whole is there.

use std::path::Path;

use crate::harness::{Server, plimsoll};
use crate::wire::{SERVER, post, span, traces};

const AT: u64 = 1_760_000_000_000_000_000;
/// Nothing leaves the log before it is damaged.
const SETTINGS: &[(&str, &str)] = &[("PLIMSOLL__STORE__FLUSH_AFTER", "1h")];

fn run(command: &str, home: &Path) -> (bool, String) {
    let output = plimsoll().arg(command).arg("--home").arg(home).output().expect("runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).expect("text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_is_salvaged() {
    let home = tempfile::tempdir().expect("a folder");
    let server = Server::start(home.path(), SETTINGS);
    for trace in 1..=3 {
        let request = traces(vec![("s", vec![span(trace, 1, 0, SERVER, "op", AT, AT + 1)])]);
        let protobuf = [("content-type", "application/x-protobuf")];
        let answer =
            post(&format!("{}/v1/traces", server.otlp_http), &protobuf, request).await.expect("answers");
        assert_eq!(answer.status, 200);
    }
    let (ok, text) = run("salvage", home.path());
    assert!(!ok && text.contains("in use by another process"), "{text}");
    server.kill();

    let segments = std::fs::read_dir(home.path().join("wal")).expect("a folder");
    let segments: Vec<_> = segments.map(|e| e.expect("an entry").path()).collect();
    assert_eq!(segments.len(), 1, "{segments:?}");
    let mut bytes = std::fs::read(&segments[0]).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segments[0], bytes).expect("writable");

    let (ok, text) = run("serve", home.path());
    assert!(!ok && text.contains("damaged at offset") && text.contains("plimsoll salvage"), "{text}");
    let (ok, text) = run("salvage", home.path());
    assert!(ok && text.contains("2 requests are whole"), "{text}");
    let (ok, text) = run("salvage", home.path());
    assert!(ok && text.contains("nothing to do"), "{text}");
    let server = Server::start(home.path(), SETTINGS);
    let rows = server.sql("SELECT substr(trace_id, 1, 2) FROM spans ORDER BY 1").await;
    assert_eq!(rows, [["01"], ["03"]]);
}
