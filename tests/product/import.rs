//! `plimsoll import` as a process of its own: interrupted anywhere and begun again, nothing is lost and nothing is there twice.

mod again;
mod refused;
mod sessions;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;

use crate::harness::{QUICK, Server, eventually, plimsoll};

const TRACES: u64 = 4_000;
const SPANS_PER_TRACE: u64 = 3;

/// As the Collector's file exporter writes it, a request a line.
fn export(folder: &Path) -> PathBuf {
    let mut lines = String::new();
    for trace in 1..=TRACES {
        let spans: Vec<_> = (0..SPANS_PER_TRACE)
            .map(|n| {
                let start = 1_700_000_000_000_000_000 + trace * 1_000_000_000 + n;
                json!({"traceId": format!("{trace:032x}"), "spanId": format!("{:016x}", trace * 10 + n), "name": "op",
                    "parentSpanId": if n == 0 { String::new() } else { format!("{:016x}", trace * 10) },
                    "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + 1_000).to_string()})
            })
            .collect();
        let line = json!({"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "old"}}]},
            "scopeSpans": [{"spans": spans}]}]});
        let _ = writeln!(lines, "{line}");
    }
    let path = folder.join("export.jsonl");
    std::fs::write(&path, lines).expect("written");
    path
}

fn import(server: &Server, path: &Path) -> std::process::Command {
    let mut import = plimsoll();
    import.arg("import").arg(path).args(["--url", &server.http, "--otlp-url", &server.otlp_http]);
    import
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_import_is_begun_again() {
    let home = tempfile::tempdir().expect("a folder");
    let path = export(home.path());
    let store = home.path().join("home");
    std::fs::create_dir(&store).expect("a folder");
    let mut server = Server::start(&store, QUICK);
    let mut first = import(&server, &path).stdout(Stdio::null()).spawn().expect("it starts");
    eventually("something is imported", async || server.number("SELECT count(*) FROM spans").await > 0).await;
    first.kill().expect("it was running");
    first.wait().expect("it ended");
    let all = i64::try_from(TRACES * SPANS_PER_TRACE).expect("few");
    for run in ["the rest", "nothing"] {
        let done = import(&server, &path).output().expect("it runs");
        assert!(done.status.success(), "{run}: {}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(server.number("SELECT count(*) FROM spans").await, all, "{run}");
        let job =
            "SELECT count(*) FROM plimsoll.jobs WHERE kind = 'import' AND state = 'done' AND done = total";
        assert_eq!(server.number(job).await, 1, "{run}");
        if run == "the rest" {
            // What has moved to merged files is known too, also by the next process.
            server.settled().await;
            server.terminate();
            server = Server::start(&store, &[]);
        } else {
            let said = String::from_utf8_lossy(&done.stdout);
            assert!(
                said.contains(&format!(": otlp-json, {TRACES} traces, 0 spans ({all} were there)")),
                "{said}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_gives_what_is_whole_and_says_where_it_broke() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = export(folder.path());
    let text = std::fs::read(&path).expect("it is there");
    // Within a line.
    let cut = text.len() / 2 + 10;
    std::fs::write(&path, &text[..cut]).expect("written");
    let home = folder.path().join("home");
    let done = plimsoll().arg("import").arg(&path).arg("--home").arg(&home).output().expect("it runs");
    assert!(!done.status.success());
    let said = String::from_utf8_lossy(&done.stderr);
    let line = text[..cut].iter().filter(|b| **b == b'\n').count() + 1;
    assert!(said.contains(&format!("export.jsonl: line {line}, byte {cut}: damaged JSON")), "{said}");
    let sql = ["sql", "SELECT count(*) FROM spans", "--format", "csv", "--home"];
    let count = plimsoll().args(sql).arg(&home).output().expect("it runs");
    let whole = (line as u64 - 1) * SPANS_PER_TRACE;
    assert!(String::from_utf8_lossy(&count.stdout).contains(&whole.to_string()), "{count:?}");
}
