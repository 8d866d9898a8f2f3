//! Settling: each trace's rows once, and of all its spans, wherever these are.

use std::time::Duration;

use plimsoll_schemas::Rules;
use plimsoll_store::{StoreOptions, StoreStatus};
use serde_json::json;

use crate::fleet::{Fleet, attribute, request, span, text};

/// Waits until the store is so.
async fn until(fleet: &Fleet, what: &str, is_so: impl Fn(&StoreStatus) -> bool) -> StoreStatus {
    let so = async {
        loop {
            let status = fleet.store.status();
            if is_so(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), so).await.unwrap_or_else(|_| panic!("never {what}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_that_were_flushed_before_their_trace_settled_are_still_of_it_when_a_late_one_comes() {
    let options = |options| StoreOptions {
        settle_after: Duration::from_secs(1),
        flush_bytes: 1 << 20,
        flush_after: Duration::from_secs(3_600),
        ..options
    };
    let fleet = Fleet::with(tempfile::tempdir().expect("a folder"), Rules::default(), options).await;
    fleet.export("acme", "agent", vec![span(1, 1, 0, "invoke_agent", 0, 100)]).await;
    // Others make a flush due.
    const OTHERS: u8 = 30;
    for other in 2..2 + OTHERS {
        let mut large = span(other, 1, 0, "work", 0, 1);
        large.attributes.push(attribute("my.text", text(&"x".repeat(60_000))));
        fleet.export("acme", "agent", vec![large]).await;
    }
    let flushed = until(&fleet, "flushed", |status| status.flushes == 1).await;
    assert_eq!(flushed.settled_traces, 0, "the flush is the first");
    let settled = |traces| move |status: &StoreStatus| status.settled_traces == traces;
    until(&fleet, "settled", settled(u64::from(OTHERS) + 1)).await;
    for late in 2..=3_u8 {
        fleet.export("acme", "agent", vec![span(1, late, 1, "chat m1", 10, 20)]).await;
        let status = until(&fleet, "settled again", settled(u64::from(OTHERS + late))).await;
        assert_eq!(status.flushes, flushed.flushes, "nothing is flushed in between");
        let sql = "SELECT span_count FROM traces WHERE root_name = 'invoke_agent'";
        assert_eq!(fleet.sql(sql).await, Ok(vec![vec![json!(late)]]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_that_overlap_derive_each_trace_once() {
    let fleet = Fleet::empty("").await;
    for n in 1..=250_u8 {
        fleet.export("acme", "agent", request(n, 100, "s")).await;
    }
    let passes: Vec<_> = (0..4)
        .map(|_| {
            let store = fleet.store.clone();
            tokio::spawn(async move { store.settle_all().await })
        })
        .collect();
    for pass in passes {
        pass.await.expect("it ends").expect("it settles");
    }
    let rows = fleet.sql("SELECT count(*), (SELECT count(*) FROM stage_runs) AS runs FROM traces").await;
    assert_eq!(rows, Ok(vec![vec![json!(250), json!(500)]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_later_settling_supersedes_leave_the_files_when_these_are_merged() {
    let fleet = Fleet::empty("").await;
    fleet.export("acme", "agent", request(2, 100, "s")).await;
    let count = |sql: &'static str| async { fleet.sql(sql).await.expect("rows").swap_remove(0) };
    let shown = "SELECT count(*), sum(span_count), (SELECT count(*) FROM stage_runs) AS runs, (SELECT count(*) FROM edges) AS edges FROM traces";
    // A trace that never ends: each span settles it again, and each settling is a file.
    for late in 3..=42_u8 {
        fleet.export("acme", "agent", vec![span(2, late, 1, "chat m1", 10, 20)]).await;
        fleet.settle().await;
        let settled = count(shown).await;
        assert_eq!(settled[..2], [json!(1), json!(late)], "{settled:?}");
        // Rollups know where its runs used to be.
        fleet.state.roll_up().await.expect("rolls up");
    }
    let raw = |table: &str| format!("SELECT count(DISTINCT revision) FROM \"{table} of every revision\"");
    for table in ["traces", "stage_runs", "edges"] {
        let revisions = fleet.sql(&raw(table)).await.expect("rows")[0][0].as_i64().expect("a number");
        assert!(revisions < 32, "{table}: forty settlings have {revisions} revisions left");
    }
    let day = "SELECT count(*) FROM plimsoll.files WHERE table_name = 'traces'";
    assert!(count(day).await[0].as_i64().expect("a number") < 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_that_lie_in_files_join_their_trace_a_day_before_its_root_and_any_time_after() {
    const HOUR_NS: u64 = 3_600_000_000_000;
    let fleet = Fleet::empty("").await;
    let at = |mut span: opentelemetry_proto::tonic::trace::v1::Span, hours: u64| {
        span.start_time_unix_nano += hours * HOUR_NS;
        span.end_time_unix_nano += hours * HOUR_NS;
        vec![span]
    };
    // Of each trace one part after the other, each in files of its own: before the root, the root, and long after it.
    for (hours, id, parent) in [(0, 3, 1), (23, 1, 0), (23 + 30 * 24, 4, 1)] {
        for trace in 1..=3_u8 {
            fleet.export("acme", "agent", at(span(trace, id, parent, "work", 0, 10), hours)).await;
        }
        fleet.settle().await;
    }
    let rows = fleet.sql("SELECT trace_id, span_count FROM traces ORDER BY 1").await.expect("rows");
    let expected: Vec<_> =
        (1..=3_u8).map(|trace| vec![json!(format!("{trace:02x}").repeat(16)), json!(3)]).collect();
    assert_eq!(rows, expected);
}
