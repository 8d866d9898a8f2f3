use plimsoll_schemas::{Attr, Outcome, Rules, TimeClass};

use crate::testing::{Build, TestSpan, span};
use crate::{StageRun, analyse};

/// Each run as `stage start+duration attempts outcome: class length, …`.
fn check(spans: &[TestSpan], expected: &[&str]) {
    let rules = Rules::default();
    let runs: Vec<String> = analyse(spans, &rules).runs.iter().map(told).collect();
    assert_eq!(runs, expected);
}

fn told(run: &StageRun<'_>) -> String {
    let classes = TimeClass::ALL.into_iter().filter(|c| run.time.get(*c).0 > 0);
    let classes: Vec<String> = classes.map(|c| format!("{} {}", c.as_str(), run.time.get(c).0)).collect();
    format!(
        "{} {}+{} {} {}: {}",
        run.stage,
        run.start.0,
        run.duration.0,
        run.attempts,
        run.outcome.as_str(),
        classes.join(", ")
    )
}

fn call(n: u64, start: i64, end: i64, status: i64) -> TestSpan {
    let call = span(n, start, end).child_of(1).client().with(Attr::PeerService, "far").stage("execute");
    call.with(Attr::HttpStatusCode, status)
}

#[test]
fn a_run_includes_what_inherits_its_stage() {
    check(
        &[
            span(1, 0, 100).stage("agent"),
            span(2, 10, 40).child_of(1),
            span(3, 50, 90).child_of(1).stage("inference"),
        ],
        &["agent 0+100 1 ok: compute 60, blocked 40", "inference 50+40 1 ok: compute 40"],
    );
}

#[test]
fn attempts_are_one_run_with_the_last_ones_outcome() {
    let server = |n, start, end| span(n, start, end).child_of(n - 10).server().on("far").stage("gateway");
    check(
        &[
            span(1, 0, 100).stage("agent"),
            call(2, 10, 20, 503),
            call(3, 40, 60, 200),
            server(12, 12, 18),
            server(13, 45, 50),
        ],
        &[
            "agent 0+100 1 ok: compute 50, backoff 20, blocked 30",
            "execute 10+50 2 ok: transit 19, backoff 20, blocked 11",
            "gateway 12+38 2 ok: compute 11, backoff 27",
        ],
    );
}

#[test]
fn messages_of_a_retried_send_are_one_run_beside_the_senders() {
    let send = |n, start: i64, status: i64| {
        span(n, start, start + 10).child_of(1).producer().stage("record").with(Attr::HttpStatusCode, status)
    };
    let receive = |n, start: i64, of| span(n, start, start + 10).child_of(of).consumer();
    check(
        &[span(1, 0, 100), send(2, 10, 503), send(3, 30, 200), receive(4, 50, 2), receive(5, 70, 3)],
        &[
            "svc 0+100 1 ok: compute 90, backoff 10",
            "record 10+30 2 ok: compute 20, backoff 10",
            "record 20+60 2 ok: queue 40, compute 20",
        ],
    );
}

#[test]
fn a_run_begins_where_its_work_was_enqueued() {
    check(
        &[
            span(1, 0, 10).producer().stage("plan"),
            span(2, 40, 90).child_of(1).consumer().on("worker"),
            span(3, 50, 60).child_of(2),
        ],
        &["plan 0+10 1 ok: compute 10", "worker 10+80 1 ok: queue 30, compute 50"],
    );
}

#[test]
fn work_that_is_handed_over_is_a_run_of_its_own() {
    let task = span(2, 40, 900).child_of(1).consumer().with(Attr::CeleryCountdown, 20e-9);
    check(
        &[span(1, 0, 10).producer(), task],
        &["svc 0+10 1 ok: compute 10", "svc 30+870 1 ok: queue 10, compute 860"],
    );
}

#[test]
fn a_second_copy_of_a_span_is_no_second_run() {
    let copy = || span(1, 0, 10).with(Attr::HttpStatusCode, 503_i64);
    let rules = Rules::default();
    let analysis = analyse(&[copy(), copy()], &rules);
    assert_eq!(analysis.runs.len(), 1);
    assert_eq!((analysis.runs[0].attempts, analysis.runs[0].errors), (1, 1));
    assert!(analysis.flags.duplicate_id && !analysis.flags.multiple_roots);
}

#[test]
fn errors_members_path_and_slice_are_the_runs() {
    let rules = Rules::default();
    let spans = [
        span(1, 0, 100).stage("agent"),
        span(2, 10, 60).child_of(1).stage("inference").with(Attr::GenAiRequestModel, "m2"),
        span(3, 20, 50).child_of(2).failed().with(Attr::GenAiUsageInputTokens, 5_i64),
    ];
    let analysis = analyse(&spans, &rules);
    let run = &analysis.runs[1];
    assert!(analysis.members(run).eq([2]));
    assert_eq!((run.root, run.errors, run.path.total().0), (1, 1, 50));
    assert_eq!((run.slice.model, run.tokens.input, run.outcome), (Some("m2"), Some(5), Outcome::Ok));
    assert!(analysis.runs[0].is_request && !run.is_request);
    assert_eq!(analysis.slice.model, Some("m2"));
}
