//! Work that goes on in a trace of its own, linked to the one that sent it: its wait in the queue is known all the same.

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Link;
use serde_json::{Value, json};

use crate::fleet::{Fleet, With, span};

const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;

/// `apply_async` from 10 to 20 ms.
fn sends(trace: u8) -> Vec<Span> {
    let mut producer = span(trace, 2, 1, "apply_async/report", 10, 20);
    producer.kind = PRODUCER;
    vec![span(trace, 1, 0, "POST /report", 0, 30), producer]
}

/// `run` from 520 ms, a trace of its own.
fn runs(trace: u8, of: u8, countdown: &str) -> Vec<Span> {
    let mut consumer = span(trace, 1, 0, "run/report", 520, 600).with("celery.countdown", countdown);
    consumer.kind = CONSUMER;
    consumer.links = vec![Link { trace_id: vec![of; 16], span_id: vec![2; 8], ..Default::default() }];
    vec![consumer]
}

async fn queue_of(fleet: &Fleet, trace: u8) -> [Value; 2] {
    let id = format!("{trace:02x}").repeat(16);
    let rows =
        fleet.sql(&format!("SELECT queue_ns, queue_source FROM stage_runs WHERE trace_id = '{id}'")).await;
    let row = rows.expect("rows").swap_remove(0);
    let analysis = fleet.get(&format!("traces/{id}?view=analysis&tenant=acme")).await;
    assert_eq!(
        [&analysis["spans"][0]["queue_ns"], &analysis["spans"][0]["queue_source"]],
        [&row[0], &row[1]]
    );
    [row[0].clone(), row[1].clone()]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_linked_trace_waited_since_it_was_sent() {
    let fleet = Fleet::empty("").await;
    fleet.export("acme", "web", sends(1)).await;
    fleet.export("acme", "worker", runs(2, 1, "0")).await;
    fleet.export("acme", "worker", runs(3, 1, "0.4")).await;
    // Whose sender is not here, or is another tenant's.
    fleet.export("acme", "worker", runs(4, 9, "0")).await;
    fleet.export("other", "web", sends(5)).await;
    fleet.export("acme", "worker", runs(6, 5, "0")).await;
    fleet.settle().await;
    let known = |ms: i64| [json!(ms * 1_000_000), json!("handoff")];
    assert_eq!(queue_of(&fleet, 2).await, known(500));
    assert_eq!(queue_of(&fleet, 3).await, known(100));
    for unknown in [4, 6] {
        assert_eq!(queue_of(&fleet, unknown).await, [Value::Null, Value::Null]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_may_come_after_what_it_sent_was_settled() {
    let fleet = Fleet::empty("").await;
    fleet.export("acme", "worker", runs(2, 1, "0")).await;
    fleet.export("acme", "worker", runs(3, 1, "0.4")).await;
    fleet.settle().await;
    assert_eq!(queue_of(&fleet, 2).await, [Value::Null, Value::Null]);
    // Another tenant's trace of that id says nothing.
    fleet.export("other", "web", sends(1)).await;
    fleet.settle().await;
    assert_eq!(queue_of(&fleet, 2).await, [Value::Null, Value::Null]);
    fleet.export("acme", "web", sends(1)).await;
    fleet.settle().await;
    assert_eq!(queue_of(&fleet, 2).await, [json!(500_000_000), json!("handoff")]);
    assert_eq!(queue_of(&fleet, 3).await, [json!(100_000_000), json!("handoff")]);
}
