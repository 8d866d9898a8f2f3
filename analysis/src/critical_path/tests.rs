use plimsoll_schemas::{Attr, Rules};

use crate::analyse;
use crate::testing::{Build, TestSpan, span};

/// The path as `span class length` words in order of time.
fn check(spans: &[TestSpan], expected: &str) {
    let rules = Rules::default();
    let analysis = analyse(spans, &rules);
    let parts = analysis.critical_path.iter().map(|part| {
        format!("{} {} {}", spans[part.span].span_id.bytes()[7], part.class.as_str(), part.duration.0)
    });
    assert_eq!(parts.collect::<Vec<_>>().join(", "), expected);
}

#[test]
fn the_last_to_finish_holds_the_request_up() {
    check(
        &[
            span(1, 0, 100),
            span(2, 10, 50).child_of(1),
            span(3, 20, 80).child_of(1),
            span(4, 30, 40).child_of(3),
            span(5, 5, 15).child_of(1),
        ],
        "1 compute 5, 5 compute 10, 1 compute 5, 3 compute 10, 4 compute 10, 3 compute 40, 1 compute 20",
    );
}

#[test]
fn parts_have_the_spans_own_classes() {
    check(
        &[
            span(1, 0, 100).client(),
            span(2, 10, 90).child_of(1).server().with(Attr::TimeInQueue, 30e-9),
            span(3, 60, 80).child_of(2).client(),
        ],
        "1 transit 10, 2 queue 30, 2 compute 20, 3 unattributed 20, 2 compute 10, 1 transit 10",
    );
}

#[test]
fn an_awaited_activity_is_on_the_path_with_its_wait() {
    check(
        &[
            span(1, 0, 100).server().named("RunWorkflow:Order"),
            span(2, 10, 10).child_of(1).client().named("StartActivity:Pay"),
            span(3, 40, 80).child_of(2).server().named("RunActivity:Pay"),
        ],
        "1 compute 10, 3 queue 30, 3 compute 40, 1 compute 20",
    );
}

#[test]
fn fire_and_forget_is_off_the_path() {
    check(
        &[span(1, 0, 100), span(2, 10, 20).child_of(1).producer(), span(3, 30, 400).child_of(2).consumer()],
        "1 compute 100",
    );
}
