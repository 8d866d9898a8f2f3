//! What was imported before adds nothing: of any format, from folders and patterns, after a kill at any point.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::json;

use super::{SPANS_PER_TRACE, TRACES, export};
use crate::harness::{eventually, plimsoll};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// More than one request takes.
const RECORDS: usize = 2_300;

fn run(home: &Path, files: &[&Path]) -> Output {
    plimsoll().arg("import").args(files).arg("--home").arg(home).output().expect("it runs")
}

fn numbers(home: &Path, statement: &str) -> Vec<i64> {
    let asked = plimsoll().args(["sql", statement, "--format", "csv", "--home"]).arg(home).output();
    let asked = asked.expect("it runs");
    let text = String::from_utf8_lossy(&asked.stdout).into_owned();
    let row = text.lines().nth(1).unwrap_or_else(|| panic!("{statement}: {asked:?}"));
    row.split(',').map(|n| n.parse().expect("a number")).collect()
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries
        .map(|e| match e.metadata() {
            Ok(data) if data.is_dir() => bytes_below(&e.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_into_a_home_that_is_killed_again_and_again_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = export(folder.path());
    let home = folder.path().join("home");
    // At its first byte, and ever later.
    for more in [1, 200_000, 200_000] {
        let before = bytes_below(&home);
        let mut import = plimsoll();
        import.arg("import").arg(&path).arg("--home").arg(&home).stdout(Stdio::null()).stderr(Stdio::null());
        let mut import = import.spawn().expect("it starts");
        eventually("something is written, or all of it", async || {
            bytes_below(&home) > before + more || import.try_wait().expect("a child").is_some()
        })
        .await;
        import.kill().expect("a child");
        import.wait().expect("it ended");
    }
    let all = i64::try_from(TRACES * SPANS_PER_TRACE).expect("few");
    for time in ["the rest", "nothing"] {
        let done = run(&home, &[&path]);
        assert!(done.status.success(), "{time}: {}", String::from_utf8_lossy(&done.stderr));
        let counts = numbers(&home, "SELECT count(*), count(DISTINCT span_id) FROM spans");
        assert_eq!(counts, [all, all], "{time}");
    }
}

/// Files of several formats, some in a folder below.
fn exports(folder: &Path) {
    let below = folder.join("below");
    std::fs::create_dir_all(&below).expect("a folder");
    let write = |path: &Path, text: String| std::fs::write(path, text).expect("written");
    // Records of one instant, of which nothing but their bodies tells some apart, and nothing the others.
    let mut logs = String::new();
    for n in 0..RECORDS {
        let record = json!({"timeUnixNano": "1700000000000000000", "body": {"stringValue": format!("line {}", n % 7)},
            "attributes": [{"key": "event.name", "value": {"stringValue": "said"}}]});
        let _ = writeln!(logs, "{}", json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}));
    }
    write(&folder.join("logs.jsonl"), logs);
    // As protobuf's own JSON has them; one span says no start.
    let spans = json!([
        {"trace_id": "S/kvNXezTaajzpKdDg5HNg==", "span_id": "APBnqgupArc=", "name": "a", "kind": "SPAN_KIND_SERVER",
         "start_time_unix_nano": "1700000000000000000", "end_time_unix_nano": "1700000000000001000"},
        {"trace_id": "S/kvNXezTaajzpKdDg5HNg==", "span_id": "APBnqgupArg=", "name": "b", "end_time_unix_nano": "5"},
    ]);
    write(
        &below.join("snake.json"),
        json!({"resource_spans": [{"scope_spans": [{"spans": spans}]}]}).to_string(),
    );
    let process = json!({"p1": {"serviceName": "front"}});
    let span = json!({"traceID": "a3ce929d0e0e4736", "spanID": "a1", "operationName": "data", "startTime": 1_700_000_000_000_000_i64, "duration": 5, "processID": "p1"});
    write(
        &below.join("jaeger.json"),
        json!({"traceID": "a3ce929d0e0e4736", "spans": [span], "processes": process}).to_string(),
    );
    let half = |kind: &str| json!({"traceId": "b3ce929d0e0e4736", "id": "b1", "kind": kind, "timestamp": 1_700_000_000_000_000_i64, "duration": 10});
    write(&below.join("zipkin.json"), json!([half("CLIENT"), half("SERVER")]).to_string());
    let row = json!({"name": "llm", "context": {"trace_id": TRACE, "span_id": "00f067aa0ba902b9"}, "start_time": "2025-06-11T14:01:32Z",
        "end_time": "2025-06-11T14:01:33Z", "annotations": [{"name": "Correct", "annotator_kind": "LLM", "result": {"label": "correct", "score": 1.0}}]});
    write(&below.join("phoenix.jsonl"), row.to_string());
    let observation = json!({"id": "b762699f-cf72-4a2f-b500-5bbe1258209c", "type": "SPAN", "name": "s", "startTime": "2025-06-11T14:01:32.598Z"});
    let scores = json!([{"name": "helpful", "value": 1, "dataType": "BOOLEAN", "source": "EVAL"}, {"name": "of the session", "value": 0.5, "sessionId": "it's one"}]);
    write(&below.join("langfuse.json"), json!({"id": "b762699f-cf72-4a2f-b500-5bbe12582000", "observations": [observation], "scores": scores}).to_string());
    write(&below.join(".hidden.json"), "nothing".into());
}

#[test]
fn every_format_twice_is_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = folder.path().join("files");
    exports(&files);
    let home = folder.path().join("home");
    let pattern = files.join("*.jsonl");
    let counts =
        "SELECT (SELECT count(*) FROM spans) AS spans, (SELECT count(*) FROM log_records) AS records,
  (SELECT count(*) FROM verdicts) AS verdicts";
    for (time, named) in [("at first", [&*pattern, &files.join("below")]), ("again", [&files, &pattern])] {
        let done = run(&home, &named);
        assert!(done.status.success(), "{time}: {}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(
            numbers(&home, counts),
            [7, RECORDS as i64, 3],
            "{time}: {}",
            String::from_utf8_lossy(&done.stdout)
        );
    }
    let missing = run(&home, &[&files.join("*.none")]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no pattern that matches one"), "{missing:?}");
}
