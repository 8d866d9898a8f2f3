//! What a query touches, as its plan says.

use opentelemetry_proto::tonic::trace::v1::Span;

use crate::fleet::{Fleet, request};

async fn plan(fleet: &Fleet, sql: &str) -> String {
    let rows = fleet.sql(&format!("EXPLAIN FORMAT INDENT {sql}")).await.expect("a plan");
    let physical = rows.iter().find(|r| r[0] == "physical_plan").expect("a physical plan");
    let text = physical[1].as_str().expect("text");
    // Files are named anew each time, and times long past are filed under a day that depends on today.
    let parts = text.split("slice=").map(|part| match part.split_once(".parquet") {
        Some((path, rest)) => format!("{}/<file>.parquet{rest}", path.split('/').next().unwrap_or_default()),
        None => part.to_owned(),
    });
    let text = parts.collect::<Vec<_>>().join("slice=");
    let mut days = text.split("day=");
    let first = days.next().unwrap_or_default().to_owned();
    days.fold(first, |text, part| format!("{text}day=<day>{}", part.get(10..).unwrap_or_default()))
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_pruned_by_trace_time_and_slice() {
    let fleet = Fleet::empty("").await;
    fleet.export("acme", "agent", request(1, 100, "s")).await;
    fleet.settle().await;
    let there = "01".repeat(16);
    insta::assert_snapshot!(
        "a_trace",
        plan(&fleet, &format!("SELECT name FROM spans WHERE trace_id = '{there}'")).await
    );
    // Not even opened: the bloom, the time range, the partition say no.
    for condition in [
        "trace_id = '00000000000000000000000000000009'",
        "start_unix_nano < 1000",
        "slice = 'none'",
        "day = DATE '2020-01-01'",
    ] {
        let plan = plan(&fleet, &format!("SELECT name FROM spans WHERE {condition}")).await;
        assert!(!plan.contains(".parquet"), "{condition}: {plan}");
    }
    let plan = plan(&fleet, "SELECT count(*) FROM spans").await;
    assert!(!plan.contains(".parquet"), "the file index knows the count: {plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_supersede_nothing_are_opened_once() {
    let fleet = Fleet::empty("").await;
    fleet.export("acme", "agent", request(1, 100, "s")).await;
    fleet.settle().await;
    let runs = "SELECT DISTINCT trace_id FROM stage_runs";
    let superseding = async || plan(&fleet, runs).await.matches("traces/").count();
    assert_eq!(superseding().await, 1, "nobody knows yet");
    let one = fleet.sql(runs).await;
    assert_eq!(superseding().await, 0);
    // A late span, so that what was settled before is superseded.
    fleet.export("acme", "agent", request(1, 100, "s").into_iter().skip(1).map(late).collect()).await;
    fleet.settle().await;
    for _ in 0..2 {
        assert_eq!(superseding().await, 1, "by the new file");
        assert_eq!(fleet.sql(runs).await, one);
    }
}

fn late(span: Span) -> Span {
    Span { span_id: vec![7; 8], ..span }
}
