use plimsoll_schemas::{Attr, QueueSource, Rules};

use crate::testing::{Build, TestSpan, span};
use crate::{TraceAnalysis, analyse};

/// The segments of the first span, as `class length` words in order.
fn check(spans: &[TestSpan], expected: &str) {
    let rules = Rules::default();
    let analysis = analyse(spans, &rules);
    assert_eq!(words(&analysis, 0), expected);
    for (span, answer) in spans.iter().zip(&analysis.spans) {
        assert_eq!(answer.time.total(), span.duration.max(plimsoll_schemas::DurationNs::ZERO));
    }
}

fn words(analysis: &TraceAnalysis<'_>, span: usize) -> String {
    let words: Vec<String> =
        analysis.segments(span).iter().map(|s| format!("{} {}", s.class.as_str(), s.duration.0)).collect();
    words.join(", ")
}

fn seconds(s: f64) -> i64 {
    (s * 1e9).round() as i64
}

#[test]
fn children_block_and_the_rest_is_compute() {
    check(
        &[
            span(1, 0, 100),
            span(2, 10, 30).child_of(1),
            span(3, 20, 40).child_of(1),
            span(4, 90, 150).child_of(1),
        ],
        "compute 10, blocked 30, compute 50, blocked 10",
    );
}

#[test]
fn what_is_not_awaited_does_not_block() {
    check(
        &[
            span(1, 0, 100),
            span(2, 10, 30).child_of(1).producer(),
            span(3, 40, 60).child_of(1).consumer(),
            span(4, 60, 70).linked_to(1),
        ],
        "compute 100",
    );
}

#[test]
fn a_call_to_an_instrumented_server_has_transit_around_it() {
    check(
        &[span(1, 0, 100).client(), span(2, 20, 70).child_of(1).server().on("far")],
        "transit 20, blocked 50, transit 30",
    );
}

#[test]
fn a_call_whose_far_side_is_dark_is_unattributed() {
    check(&[span(1, 0, 100).client()], "unattributed 100");
    check(&[span(1, 0, 100).producer()], "unattributed 100");
}

#[test]
fn a_message_that_arrived_is_not_lost_in_the_dark() {
    check(&[span(1, 0, 100).producer(), span(2, 200, 300).consumer().child_of(1)], "compute 100");
    let batch = span(3, 200, 300).consumer().child_of(2).linked_to(1);
    check(&[span(1, 0, 100).producer(), span(2, 150, 400), batch], "compute 100");
}

#[test]
fn an_attribute_queues_from_the_start_and_is_clipped_at_the_first_child() {
    let rules = Rules::default();
    let spans = [span(1, 0, 100).server().with(Attr::TimeInQueue, 50e-9), span(2, 30, 60).child_of(1)];
    check(&spans, "queue 30, blocked 30, compute 40");
    let answer = &analyse(&spans, &rules).spans[0];
    assert_eq!(answer.queue_clipped.0, 20);
    assert_eq!(answer.queue_source, Some(QueueSource::Attribute));
}

/// Measured on a real vLLM 0.29 span: 23 % of its end-to-end time is neither queue, prefill nor decode.
#[test]
fn a_vllm_span_whose_breakdown_does_not_add_up() {
    let spans = [span(1, 0, seconds(0.254_922))
        .server()
        .named("llm_request")
        .with(Attr::TimeInQueue, 0.000_055)
        .with(Attr::TimeInModelPrefill, 0.057_815)
        .with(Attr::TimeInModelDecode, 0.138_305)
        .with(Attr::LatencyE2e, 0.253_597)];
    check(&spans, "queue 55000, compute 196120000, unattributed 58747000");
}

#[test]
fn sglang_waits_in_a_span_of_its_own() {
    let spans = [
        span(1, 0, 100).server().with(Attr::TimeInModelPrefill, 80e-9),
        span(2, 10, 50).child_of(1).named("prefill_waiting"),
        span(3, 50, 90).child_of(1).named("prefill_forward"),
    ];
    check(&spans, "compute 10, blocked 80, compute 10");
    let rules = Rules::default();
    let analysis = analyse(&spans, &rules);
    assert_eq!(words(&analysis, 1), "queue 40");
    assert_eq!(analysis.spans[1].queue_source, Some(QueueSource::Interval));
}

#[test]
fn events_mark_a_wait() {
    let spans =
        [span(1, 0, 100).event(10, "QUEUE_START"), span(2, 40, 90).child_of(1).event(40, "COMPUTE_START")];
    check(&spans, "compute 10, queue 30, blocked 50, compute 10");
    let envoy = [span(1, 0, 100)
        .event(5, "last_downstream_rx_byte_received")
        .event(15, "first_upstream_tx_byte_sent")];
    check(&envoy, "compute 5, queue 10, compute 85");
    let rules = Rules::default();
    assert_eq!(analyse(&envoy, &rules).spans[0].queue_source, Some(QueueSource::Proxy));
}

#[test]
fn between_attempts_is_backoff() {
    let attempt = |n, start, end| span(n, start, end).child_of(1).client().with(Attr::PeerService, "far");
    check(
        &[
            span(1, 0, 100),
            attempt(2, 10, 20).with(Attr::HttpStatusCode, 503_i64),
            attempt(3, 40, 50).with(Attr::HttpStatusCode, 503_i64),
            span(4, 45, 60).child_of(1),
            attempt(5, 70, 90).with(Attr::HttpStatusCode, 200_i64),
        ],
        "compute 10, blocked 10, backoff 20, blocked 20, backoff 10, blocked 20, compute 10",
    );
}

#[test]
fn a_consumer_waits_before_its_span() {
    let rules = Rules::default();
    let spans = [
        span(1, 0, 10).producer(),
        span(2, 60, 90).child_of(1).consumer().on("worker").with(Attr::CeleryCountdown, 20e-9),
    ];
    let answer = &analyse(&spans, &rules).spans[1];
    assert_eq!((answer.queue_before.0, answer.queue_source), (30, Some(QueueSource::Handoff)));
    let stamped = [span(1, seconds(7.5), seconds(8.0)).consumer().with(Attr::ServiceBusEnqueuedTime, 7_i64)];
    let answer = &analyse(&stamped, &rules).spans[0];
    assert_eq!((answer.queue_before.0, answer.queue_source), (seconds(0.5), Some(QueueSource::Enqueued)));
}

#[test]
fn of_a_batch_the_oldest_message_waited_longest_and_a_second_delivery_did_not() {
    let rules = Rules::default();
    let batch = span(3, 60, 90).consumer().linked_to(2).linked_to(1);
    let analysis = analyse(&[span(1, 0, 10).producer(), span(2, 0, 20).producer(), batch], &rules);
    assert_eq!(analysis.spans[2].queue_before.0, 50);
    let delivery = |n, start: i64, count: i64| {
        let run = span(n, start, start + 10).child_of(1).consumer().with(Attr::MessagingMessageId, "m");
        run.with(Attr::PubSubDeliveryAttempt, count)
    };
    let analysis = analyse(&[span(1, 0, 10).producer(), delivery(2, 30, 1), delivery(3, 80, 2)], &rules);
    let waits: Vec<_> = analysis.spans.iter().map(|s| (s.queue_before.0, s.queue_source)).collect();
    assert_eq!(waits, [(0, None), (20, Some(QueueSource::Handoff)), (0, None)]);
}

#[test]
fn a_handoff_that_ran_backwards_is_clamped_and_flagged() {
    let rules = Rules::default();
    let analysis = analyse(&[span(1, 0, 50).producer(), span(2, 40, 90).child_of(1).consumer()], &rules);
    assert_eq!(analysis.spans[1].queue_before.0, 0);
    assert!(analysis.spans[1].flags.negative_handoff && analysis.flags.skew);
    let early = span(2, 60, 90).child_of(1).consumer().with(Attr::CeleryCountdown, 20e-9);
    assert!(!analyse(&[span(1, 0, 50).producer(), early], &rules).flags.skew);
}

#[test]
fn a_workflow_awaits_its_activities_and_their_wait_for_a_worker() {
    check(
        &[
            span(1, 0, 100).server().named("RunWorkflow:Order"),
            span(2, 10, 10).child_of(1).client().named("StartActivity:Pay"),
            span(3, 40, 80).child_of(2).server().named("RunActivity:Pay").on("worker"),
        ],
        "compute 10, blocked 70, compute 20",
    );
}
