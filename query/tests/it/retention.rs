//! What is not to be kept leaves every table, by whose it is; what is to be kept stays, and a question under way loses nothing.

use opentelemetry_proto::tonic::trace::v1::Span;
use plimsoll_schemas::retention::Retention;
use plimsoll_schemas::{Rules, UnixNanos};
use serde_json::{Value, json};

use crate::fleet::{BEGAN, Fleet, request};

const DAY_NS: u64 = 86_400_000_000_000;

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    // Noon: a trace of some seconds lies in one day.
    since.as_nanos() as u64 / DAY_NS * DAY_NS + DAY_NS / 2
}

/// A request as many days ago, of a model.
fn ago(trace: u8, days: u64, model: &str) -> Vec<Span> {
    let mut spans = request(trace, 100, &format!("session-{trace}"));
    for span in &mut spans {
        span.start_time_unix_nano = now() - days * DAY_NS + (span.start_time_unix_nano - BEGAN);
        span.end_time_unix_nano = now() - days * DAY_NS + (span.end_time_unix_nano - BEGAN);
        for attribute in span.attributes.iter_mut().filter(|a| a.key == "gen_ai.request.model") {
            attribute.value = Some(crate::fleet::text(model));
        }
    }
    spans
}

async fn keeping(keep_days: Option<u32>, max_bytes: Option<u64>, rules: &str) -> Fleet {
    let rules = serde_norway::from_str(rules).expect("rules");
    let retention = Retention { keep_days, max_bytes, rules };
    Fleet::keeping(tempfile::tempdir().expect("a folder"), Rules::default(), retention).await
}

/// The traces of which a table has rows, by the first byte of their ids.
async fn traces(fleet: &Fleet, table: &str) -> Vec<Value> {
    let sql = format!("SELECT DISTINCT substr(trace_id, 1, 2) FROM {table} ORDER BY 1");
    fleet.sql(&sql).await.expect("rows").into_iter().map(|mut row| row.swap_remove(0)).collect()
}

async fn retain(fleet: &Fleet) -> usize {
    fleet.store.retain(UnixNanos(now() as i64)).await.expect("retains")
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_when_they_are_older_than_whoever_sent_them_keeps_them() {
    let fleet = keeping(
        Some(30),
        None,
        "[{ tenant: long, keep_days: 90 }, { table: spans, keep_days: 10 }, { model: trial, keep_days: 2 }]",
    )
    .await;
    for (trace, tenant, days, model) in [
        (0x01, "acme", 0, "m"),
        (0x02, "acme", 5, "m"),
        (0x03, "acme", 5, "trial"),
        (0x04, "acme", 20, "m"),
        (0x05, "long", 20, "m"),
        (0x06, "acme", 60, "m"),
        (0x07, "long", 60, "m"),
        (0x08, "long", 95, "m"),
        (0x09, "acme", 10, "m"),
    ] {
        fleet.export(tenant, "agent", ago(trace, days, model)).await;
    }
    fleet.judge("acme", json!({"trace_id": "04".repeat(16), "metric": "m", "label": "fail"})).await;
    fleet.settle().await;
    let before = fleet.store.snapshot();
    assert!(retain(&fleet).await > 0);
    assert_eq!(traces(&fleet, "spans").await, ["01", "02", "03", "05", "07", "09"]);
    for table in ["traces", "stage_runs"] {
        assert_eq!(traces(&fleet, table).await, ["01", "02", "04", "05", "07", "09"], "{table}");
    }
    // A verdict lies in the day on which it was given.
    assert_eq!(traces(&fleet, "verdicts").await, ["04"]);
    // Files that a question under way may still open are there.
    for table in plimsoll_schemas::table::Table::ALL.map(|t| before.table(t).clone()) {
        for file in table.files.iter() {
            let path = fleet.store.home().name(table.table.as_str()).join(&file.path);
            assert!(path.exists(), "{}", file.path);
        }
    }
    // And again: nothing is left to do, and nothing is different after a restart.
    assert_eq!(retain(&fleet).await, 0);
    let copy = fleet.copy(&["lock"]).await;
    assert_eq!(traces(&copy, "spans").await, ["01", "02", "03", "05", "07", "09"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_word_everything_is_kept() {
    let fleet = keeping(None, None, "[]").await;
    fleet.export("acme", "agent", ago(1, 399, "m")).await;
    fleet.settle().await;
    assert_eq!(retain(&fleet).await, 0);
    assert_eq!(traces(&fleet, "spans").await, ["01"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_days_go_where_the_files_take_more_than_they_may() {
    // No file of these fits twice, every day of them fits once.
    let sizes = keeping(None, None, "[]").await;
    sizes.export("acme", "agent", ago(1, 3, "m")).await;
    sizes.settle().await;
    let bytes = |fleet: &Fleet| -> u64 {
        let snapshot = fleet.store.snapshot();
        let tables = plimsoll_schemas::table::Table::ALL.map(|t| snapshot.table(t).files.clone());
        tables.iter().flat_map(|files| files.iter().map(|f| f.size_bytes)).sum()
    };
    let of_a_day = bytes(&sizes);
    let fleet = keeping(None, Some(of_a_day * 5 / 2), "[]").await;
    for (trace, days) in [(0x01, 3), (0x02, 2), (0x03, 1), (0x04, 0)] {
        fleet.export("acme", "agent", ago(trace, days, "m")).await;
    }
    fleet.settle().await;
    assert!(bytes(&fleet) > of_a_day * 3);
    retain(&fleet).await;
    for table in ["spans", "traces", "stage_runs"] {
        assert_eq!(traces(&fleet, table).await, ["03", "04"], "{table}");
    }
    assert!(bytes(&fleet) <= of_a_day * 5 / 2);
    assert_eq!(retain(&fleet).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_beside_retention_loses_nothing_that_is_kept() {
    let fleet = keeping(Some(1), None, "[]").await;
    for trace in 1..20 {
        fleet.export("acme", "agent", ago(trace, if trace % 2 == 0 { 0 } else { 5 }, "m")).await;
        let (settled, retained) =
            tokio::join!(fleet.store.settle_all(), fleet.store.retain(UnixNanos(now() as i64)));
        settled.expect("settles");
        retained.expect("retains");
    }
    retain(&fleet).await;
    let even: Vec<String> = (1..20).filter(|t| t % 2 == 0).map(|t| format!("{t:02x}")).collect();
    for table in ["spans", "traces", "stage_runs"] {
        assert_eq!(traces(&fleet, table).await, even, "{table}");
    }
}
