//! Two processes on one lake: one writes it, another one answers questions of it.

use std::path::Path;

use axum::http::StatusCode;
use serde_json::Value;

use crate::cloud::{Bucket, Cloud};
use crate::harness::{QUICK, Server, eventually, plimsoll};
use crate::wire::post;

const READ_ONLY: [(&str, &str); 1] = [("PLIMSOLL__STORE__READ_ONLY", "true")];
/// Of the simulated fleet; another stretch with `PLIMSOLL_READERS_HISTORY`.
const HISTORY: &str = "1h";

/// Everything that two servers of one lake must answer alike once nothing moves.
const QUESTIONS: [&str; 5] = [
    "SELECT count(*), count(DISTINCT trace_id || span_id), sum(duration_ns) FROM spans",
    "SELECT stage, slice, count(*) FROM spans GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT count(*), sum(span_count), sum(wasted_ns) FROM traces",
    "SELECT stage, count(*), sum(duration_ns) FROM stage_runs GROUP BY 1 ORDER BY 1",
    "SELECT count(*), count(DISTINCT trace_id) FROM verdicts",
];

/// The simulated fleet goes through the writer, while the reader is asked all the time.
async fn one_writes_and_one_reads(home: &str, folder: &Path, settings: &[(&str, &str)], history: &str) {
    let settings = [settings, QUICK].concat();
    let start =
        |more: &[(&str, &str)]| Server::start_on(home, folder, &[&settings, more].concat(), "127.0.0.1:0");
    assert!(start(&[]).terminate().success(), "the tables are made");
    let reader = start(&READ_ONLY);
    assert_eq!((reader.otlp_http.as_str(), reader.otlp_grpc.as_str()), ("off", "off"));
    let mut writer = plimsoll()
        .args(["demo", "--once", "--history", history, "--home", home])
        .envs(settings.iter().copied())
        .current_dir(folder)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the binary starts");
    let (mut spans, mut looks) = (0, 0);
    while writer.try_wait().expect("a child").is_none() {
        let rows = reader.sql("SELECT count(*), count(DISTINCT trace_id || span_id) FROM spans").await;
        assert_eq!(rows[0][0], rows[0][1], "a span is there twice");
        let now = rows[0][0].as_i64().expect("a number");
        assert!(now >= spans, "spans went: {spans} before, {now} now");
        // What was derived of a trace never comes before its spans, in any one statement.
        let orphans = "SELECT count(*) FROM traces t LEFT ANTI JOIN spans s ON t.trace_id = s.trace_id";
        assert_eq!(reader.number(orphans).await, 0, "traces without spans");
        (spans, looks) = (now, looks + 1);
    }
    assert!(writer.wait().expect("it ended").success());
    assert!(looks > 3 && spans > 0, "{looks} looks, {spans} spans");
    let writer = start(&[]);
    writer.settled().await;
    for question in QUESTIONS {
        let expected = writer.sql(question).await;
        assert_ne!(expected[0][0], Value::from(0), "{question}");
        eventually(question, async || reader.sql(question).await == expected).await;
    }
    let goodput = "/api/v1/goodput?by=stage&start=-2h";
    let requests = |answer: Value| {
        answer["rows"].as_array().map(|rows| rows.iter().map(|r| r["good"].clone()).collect::<Vec<_>>())
    };
    let expected = requests(writer.get_ok(goodput).await).expect("rows");
    assert!(!expected.is_empty());
    eventually(goodput, async || requests(reader.get_ok(goodput).await).as_ref() == Some(&expected)).await;
    // It takes nothing in, and says who does.
    let verdict = r#"{"trace_id":"00000000000000000000000000000001","metric":"m","label":"pass"}"#;
    let headers = [("content-type", "application/json")];
    let url = format!("{}/api/v1/verdicts", reader.http);
    let answer = post(&url, &headers, verdict.into()).await.expect("answers");
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
    assert!(text.contains("only reads"), "{text}");
    assert!(reader.terminate().success());
    assert!(writer.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_of_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = std::env::var("PLIMSOLL_READERS_HISTORY").unwrap_or_else(|_| HISTORY.to_owned());
    one_writes_and_one_reads(folder.path().to_str().expect("UTF-8"), folder.path(), &[], &history).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn some_minutes_of_a_bucket() {
    let (bucket, folder) = (Bucket::start(Cloud::S3).await, tempfile::tempdir().expect("a folder"));
    one_writes_and_one_reads(&bucket.home("one"), folder.path(), &bucket.settings(&[]), "5m").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_lake_there_is_nothing_to_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().to_str().expect("UTF-8");
    let ended = plimsoll()
        .args(["serve", "--read-only", "--listen-http", "127.0.0.1:0", "--home", home])
        .output()
        .expect("the binary starts");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(
        !ended.status.success() && said.contains("start the server that writes this home first"),
        "{said}"
    );
    let made: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").collect();
    assert!(made.is_empty(), "whoever only reads makes nothing: {made:?}");
}
