use plimsoll_schemas::{Attr, Rules};

use crate::analyse;
use crate::testing::{Build, TestSpan, span};

/// The trace's model, then that of each run.
fn check(spans: &[TestSpan], of_trace: Option<&str>, of_runs: &[Option<&str>]) {
    let rules = Rules::default();
    let analysis = analyse(spans, &rules);
    assert_eq!(analysis.slice.model, of_trace);
    let runs: Vec<Option<&str>> = analysis.runs.iter().map(|r| r.slice.model).collect();
    assert_eq!(runs, of_runs);
}

fn root() -> TestSpan {
    span(1, 0, 100).stage("agent")
}

fn inference(n: u64, start: i64) -> TestSpan {
    span(n, start, start + 10).child_of(1).stage("inference")
}

#[test]
fn the_root_has_the_word() {
    check(
        &[
            root().with(Attr::GenAiRequestModel, "m1"),
            inference(2, 10).with(Attr::GenAiRequestModel, "m2"),
            inference(3, 30),
        ],
        Some("m1"),
        &[Some("m1"), Some("m2"), Some("m1")],
    );
}

#[test]
fn where_the_root_does_not_know_the_first_that_does_has_it() {
    check(
        &[
            root(),
            inference(3, 30).with(Attr::GenAiRequestModel, "m3"),
            inference(2, 10).with(Attr::GenAiRequestModel, "m2"),
        ],
        Some("m2"),
        &[Some("m2"), Some("m2"), Some("m3")],
    );
    check(&[root()], None, &[None]);
}

#[test]
fn ancestors_come_before_the_trace() {
    check(
        &[
            root(),
            inference(2, 10).with(Attr::GenAiRequestModel, "m2"),
            span(3, 30, 90).child_of(1).stage("helper").with(Attr::GenAiRequestModel, "m3"),
            span(4, 40, 50).child_of(3).stage("inference"),
        ],
        Some("m2"),
        &[Some("m2"), Some("m2"), Some("m3"), Some("m3")],
    );
}

#[test]
fn a_run_knows_what_its_members_know() {
    check(
        &[
            root(),
            inference(2, 10).with(Attr::GenAiRequestModel, "m2"),
            inference(3, 30),
            span(4, 32, 35).child_of(3).with(Attr::GenAiRequestModel, "m4"),
        ],
        Some("m2"),
        &[Some("m2"), Some("m2"), Some("m4")],
    );
}

#[test]
fn the_session_is_the_roots_else_the_first_known() {
    let rules = Rules::default();
    let spans = [root(), inference(2, 10).with(Attr::GenAiConversationId, "c")];
    assert_eq!(analyse(&spans, &rules).session_id, Some("c"));
    let spans = [root().with(Attr::SessionId, "s"), inference(2, 10).with(Attr::GenAiConversationId, "c")];
    assert_eq!(analyse(&spans, &rules).session_id, Some("s"));
}
