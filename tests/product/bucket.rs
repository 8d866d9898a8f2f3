//! A bucket as the home: nothing on this machine lasts, and what was acknowledged is there all the same.

use axum::http::StatusCode;

use crate::crash;
use crate::harness::{PATIENCE, QUICK, Server, eventually};
use crate::s3::S3;
use crate::wire::{INTERNAL, post, span, traces};

/// As many kills as a gate has time for.
const ROUNDS: usize = 6;

/// One span of a trace of its own.
fn request(number: u64) -> Vec<u8> {
    // An id is not 0.
    let number = number + 1;
    let start = 1_700_000_000_000_000_000 + number * 1_000_000;
    let mut span = span(0, number, 0, INTERNAL, "work", start, start + 5_000_000);
    span.trace_id = [number.to_be_bytes(), [1; 8]].concat();
    traces(vec![("bucket", vec![span])])
}

async fn send(server: &Server, number: u64) -> Option<StatusCode> {
    let headers = [("content-type", "application/x-protobuf")];
    post(&format!("{}/v1/traces", server.otlp_http), &headers, request(number)).await.ok().map(|a| a.status)
}

async fn count(server: &Server) -> i64 {
    let rows = server.sql("SELECT count(*), count(DISTINCT span_id) FROM spans").await;
    assert_eq!(rows[0][0], rows[0][1], "a span is there twice");
    rows[0][0].as_i64().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_nothing_with_the_log_in_the_bucket() {
    let (s3, folder) = (S3::start(), tempfile::tempdir().expect("a folder"));
    crash::survives_kill_9(&s3.home("one"), folder.path(), &s3.settings(crash::SETTINGS), ROUNDS, 20).await;
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").collect();
    assert!(left.is_empty(), "this machine keeps nothing: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_nothing_with_the_log_on_disk() {
    let (s3, folder) = (S3::start(), tempfile::tempdir().expect("a folder"));
    let wal = folder.path().join("wal");
    let wal = [("PLIMSOLL__STORE__WAL", wal.to_str().expect("UTF-8"))];
    let settings = s3.settings(&[crash::SETTINGS, &wal].concat());
    crash::survives_kill_9(&s3.home("one"), folder.path(), &settings, ROUNDS, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_opens_a_home_last_has_it_and_the_other_stops() {
    let (s3, folder) = (S3::start(), tempfile::tempdir().expect("a folder"));
    let start = || Server::start_on(&s3.home("one"), folder.path(), &s3.settings(QUICK), "127.0.0.1:0");
    let mut sent = 0;
    let mut first = start();
    for round in 0..4_u64 {
        for _ in 0..3 {
            assert_eq!(send(&first, sent).await, Some(StatusCode::OK));
            sent += 1;
        }
        // It sleeps through what the next one does, and its flush may be due when it wakes.
        first.signal("STOP");
        let second = start();
        for _ in 0..round {
            assert_eq!(send(&second, sent).await, Some(StatusCode::OK));
            sent += 1;
        }
        if round == 2 {
            // Even where nothing of the log is left that it would write on.
            second.settled().await;
        }
        first.signal("CONT");
        // Nothing that the bucket's owner would not know of is acknowledged.
        assert_eq!(send(&first, 1_000 + round).await, Some(StatusCode::SERVICE_UNAVAILABLE), "round {round}");
        eventually("it says that it stopped", async || first.get("/readyz").await.0 != StatusCode::OK).await;
        assert_eq!(count(&second).await, sent as i64);
        second.settled().await;
        assert_eq!(count(&second).await, sent as i64);
        first.kill();
        first = second;
    }
    first.kill();
    assert_eq!(count(&start()).await, sent as i64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_away_for_a_while_is_waited_for() {
    let (mut s3, folder) = (S3::start(), tempfile::tempdir().expect("a folder"));
    let server = Server::start_on(&s3.home("one"), folder.path(), &s3.settings(QUICK), "127.0.0.1:0");
    assert_eq!(send(&server, 0).await, Some(StatusCode::OK));
    let waiting = std::cell::RefCell::new(None);
    s3.without(async || {
        let url = format!("{}/v1/traces", server.otlp_http);
        let headers = [("content-type", "application/x-protobuf")];
        let mut sent = Box::pin(async move { post(&url, &headers, request(1)).await });
        // It is not acknowledged while nothing keeps it.
        let answered = tokio::time::timeout(std::time::Duration::from_secs(1), &mut sent).await;
        assert!(!answered.is_ok_and(|a| a.is_ok_and(|a| a.status == StatusCode::OK)));
        waiting.replace(Some(sent));
    })
    .await;
    let sent = waiting.take().expect("it was sent");
    let answer = tokio::time::timeout(PATIENCE, sent).await.expect("it is answered").expect("an answer");
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(count(&server).await, 2);
    server.settled().await;
    assert_eq!(count(&server).await, 2);
    assert!(server.terminate().success());
    let log = s3.objects().join("one/wal");
    let bytes =
        |path: &std::path::Path| std::fs::metadata(path).map_or(0, |m| if m.is_file() { m.len() } else { 0 });
    let mut left: Vec<_> =
        std::fs::read_dir(&log).into_iter().flatten().flatten().map(|e| e.path()).collect();
    left.extend(
        left.clone()
            .iter()
            .flat_map(|p| std::fs::read_dir(p).into_iter().flatten().flatten().map(|e| e.path())),
    );
    assert_eq!(left.iter().map(|path| bytes(path)).sum::<u64>(), 0, "a clean stop leaves no log: {left:?}");
}
