//! A log that rotted: the server refuses to start over it and says what to do; that done, everything that is whole is there. And data
//! files that did: flipped bits are flipped back.

use std::path::{Path, PathBuf};

use axum::http::Method;

use crate::harness::{Server, plimsoll, send};
use crate::wire::{SERVER, post, span, traces};

const AT: u64 = 1_760_000_000_000_000_000;
/// Nothing leaves the log before it is damaged.
const SETTINGS: &[(&str, &str)] = &[("PLIMSOLL__STORE__FLUSH_AFTER", "1h")];

fn run(command: &str, home: &Path) -> (bool, String) {
    run_with(command, home, &[])
}

fn run_with(command: &str, home: &Path, flags: &[&str]) -> (bool, String) {
    let output = plimsoll().arg(command).arg("--home").arg(home).args(flags).output().expect("runs");
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

fn data_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files = entries.flat_map(|path| if path.is_dir() { data_files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|e| e == "parquet")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bits_of_data_files_are_flipped_back() {
    let home = tempfile::tempdir().expect("a folder");
    let server = Server::start(home.path(), &[]);
    let spans = (1..=60).map(|id| span(1, id, id - 1, SERVER, "op", AT + id, AT + 100)).collect();
    let protobuf = [("content-type", "application/x-protobuf")];
    let request = traces(vec![("s", spans)]);
    post(&format!("{}/v1/traces", server.otlp_http), &protobuf, request).await.expect("answers");
    assert!(server.terminate().success());
    let files = data_files(&home.path().join("spans"));
    assert_eq!(files.len(), 1, "{files:?}");
    let whole = std::fs::read(&files[0]).expect("readable");
    let (ok, text) = run_with("salvage", home.path(), &["--data"]);
    assert!(ok && text.contains("data files are whole"), "{text}");

    // One bit in its data, and one in its footer.
    let mut damaged = whole.clone();
    damaged[100] ^= 4;
    let footer = whole.len() - 40;
    damaged[footer] ^= 32;
    std::fs::write(&files[0], &damaged).expect("writable");
    let (ok, text) = run_with("salvage", home.path(), &["--data"]);
    assert!(ok && text.contains("a bit of byte 100 was flipped"), "{text}");
    assert!(text.contains(&format!("a bit of byte {footer} was flipped")), "{text}");
    assert!(std::fs::read(&files[0]).expect("readable") == whole);
    // What it was before is kept, and is no part of the lake.
    let kept = text.lines().find_map(|line| line.strip_prefix("  what it was before is kept as "));
    let (kept, _) = kept.and_then(|said| said.split_once(';')).expect("it says where");
    assert!(std::fs::read(kept).expect("readable") == damaged);
    assert_eq!(data_files(&home.path().join("spans")), files);
    std::fs::remove_file(kept).expect("it is of no more use");

    // More than that is named, and stays.
    damaged[100..200].fill(0);
    std::fs::write(&files[0], &damaged).expect("writable");
    let (ok, text) = run_with("salvage", home.path(), &["--data"]);
    assert!(!ok && text.contains("are not what was written") && text.contains("restore them"), "{text}");
    let server = Server::start(home.path(), &[]);
    let question = serde_json::json!({ "sql": "SELECT * FROM spans" }).to_string();
    let url = format!("{}/api/v1/sql", server.http);
    let json = [("content-type", "application/json")];
    let answer = send(Method::POST, &url, &json, question.into()).await.expect("answers");
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let name = files[0].file_name().and_then(|name| name.to_str()).expect("a name");
    assert!(answer.status != 200 && text.contains("damaged") && text.contains(name), "{text}");
}
