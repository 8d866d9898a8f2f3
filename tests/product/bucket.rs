//! A bucket as the home: nothing on this machine lasts, and what was acknowledged is there all the same.

use std::path::{Path, PathBuf};

use axum::http::StatusCode;

use crate::cloud::{Bucket, Cloud};
use crate::crash;
use crate::harness::{PATIENCE, QUICK, Server, eventually, plimsoll};
use crate::wire::{INTERNAL, post, span, traces};

/// As many kills as a gate has time for.
const ROUNDS: usize = 6;

/// What is promised of every kind of bucket.
macro_rules! promises {
    ($($module:ident: $cloud:ident),*) => {$(
        mod $module {
            use crate::cloud::Cloud;

            #[tokio::test(flavor = "multi_thread")]
            async fn kill_9_loses_nothing() {
                super::kill_9_loses_nothing(Cloud::$cloud).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn who_opens_a_home_last_has_it_and_the_other_stops() {
                super::who_opens_a_home_last_has_it_and_the_other_stops(Cloud::$cloud).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_bucket_that_is_away_for_a_while_is_waited_for() {
                super::a_bucket_that_is_away_for_a_while_is_waited_for(Cloud::$cloud).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn what_is_wrong_with_a_bucket_is_said_at_the_start() {
                super::what_is_wrong_with_a_bucket_is_said_at_the_start(Cloud::$cloud).await;
            }
        }
    )*};
}

promises!(s3: S3, azure: Azure, gcs: Gcs);

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

async fn kill_9_loses_nothing(cloud: Cloud) {
    let (bucket, folder) = (Bucket::start(cloud).await, tempfile::tempdir().expect("a folder"));
    let settings = bucket.settings(crash::SETTINGS);
    crash::survives_kill_9(&bucket.home("one"), folder.path(), &settings, ROUNDS, 20).await;
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").collect();
    assert!(left.is_empty(), "this machine keeps nothing: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_nothing_with_the_log_on_disk() {
    let (bucket, folder) = (Bucket::start(Cloud::S3).await, tempfile::tempdir().expect("a folder"));
    let wal = folder.path().join("wal");
    let wal = [("PLIMSOLL__STORE__WAL", wal.to_str().expect("UTF-8"))];
    let settings = bucket.settings(&[crash::SETTINGS, &wal].concat());
    crash::survives_kill_9(&bucket.home("one"), folder.path(), &settings, ROUNDS, 20).await;
}

async fn who_opens_a_home_last_has_it_and_the_other_stops(cloud: Cloud) {
    let (bucket, folder) = (Bucket::start(cloud).await, tempfile::tempdir().expect("a folder"));
    let settings = bucket.settings(QUICK);
    let start = || Server::start_on(&bucket.home("one"), folder.path(), &settings, "127.0.0.1:0");
    let mut sent = 0;
    let mut first = start();
    for round in 0..5_u64 {
        // One of them takes nothing in before it is taken over, and one has flushed all that it took in.
        for _ in 0..if round == 1 { 0 } else { 3 } {
            assert_eq!(send(&first, sent).await, Some(StatusCode::OK));
            sent += 1;
        }
        if round == 3 {
            first.settled().await;
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

async fn a_bucket_that_is_away_for_a_while_is_waited_for(cloud: Cloud) {
    let (mut bucket, folder) = (Bucket::start(cloud).await, tempfile::tempdir().expect("a folder"));
    let server = Server::start_on(&bucket.home("one"), folder.path(), &bucket.settings(QUICK), "127.0.0.1:0");
    assert_eq!(send(&server, 0).await, Some(StatusCode::OK));
    let waiting = std::cell::RefCell::new(None);
    bucket
        .without(async |_| {
            let url = format!("{}/v1/traces", server.otlp_http);
            let headers = [("content-type", "application/x-protobuf")];
            let mut sent = Box::pin(async move { post(&url, &headers, request(1)).await });
            let waits = eventually("the bucket's client gives up, and the server is not ready", async || {
                let (status, body) = server.get("/readyz").await;
                let is_held_up = body["detail"].as_str().is_some_and(|why| why.contains("bucket"));
                server.has_said("it is tried again")
                    && status == StatusCode::SERVICE_UNAVAILABLE
                    && is_held_up
            });
            tokio::select! {
                answered = &mut sent => panic!("it is answered while nothing keeps it: {answered:?}"),
                () = waits => {}
            }
            waiting.replace(Some(sent));
        })
        .await;
    let sent = waiting.take().expect("it was sent");
    let answer = tokio::time::timeout(PATIENCE, sent).await.expect("it is answered").expect("an answer");
    assert_eq!(answer.status, StatusCode::OK);
    eventually("it is ready again", async || server.get("/readyz").await.0 == StatusCode::OK).await;
    assert_eq!(count(&server).await, 2);
    server.settled().await;
    assert_eq!(count(&server).await, 2);
    assert!(server.terminate().success());
    if cloud != Cloud::Azure {
        let left = parts_with_bytes(&bucket.objects().join("one/wal"));
        assert!(left.is_empty(), "a clean stop leaves no log: {left:?}");
    }
}

fn parts_with_bytes(log: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let parts = entries(log).flat_map(|file| entries(&file).collect::<Vec<_>>());
    parts.filter(|part| std::fs::metadata(part).is_ok_and(|part| part.len() > 0)).collect()
}

async fn what_is_wrong_with_a_bucket_is_said_at_the_start(cloud: Cloud) {
    let mut bucket = Bucket::start(cloud).await;
    let refused = |home: &str, settings: &[(&str, &str)], why: &str| {
        let mut serve = plimsoll();
        serve.args(["serve", "--listen-http", "127.0.0.1:0", "--listen-otlp-grpc", "off", "--home", home]);
        let ended = serve.args(["--listen-otlp-http", "off"]).envs(settings.iter().copied()).output();
        let ended = ended.expect("the binary starts");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success(), "{home}");
        assert!(said.contains(&format!("plimsoll: {home}")) && said.contains(why), "{home}, {why}: {said}");
    };
    let home = bucket.home("one");
    refused(&bucket.home_in("absent", "one"), &bucket.settings(&[]), "/absent?");
    match cloud {
        Cloud::S3 => refused(&home, &bucket.settings(&[("AWS_SECRET_ACCESS_KEY", "wrong")]), "403"),
        Cloud::Azure => refused(&home, &bucket.settings(&[("AZURE_STORAGE_ACCOUNT_KEY", "AAAA")]), "403"),
        // It asks for no credentials.
        Cloud::Gcs => {}
    }
    bucket.without(async |bucket| refused(&home, &bucket.settings(&[]), "Connection refused")).await;
}
