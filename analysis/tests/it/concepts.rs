//! The worked examples of `docs/concepts`: what the pages say is what comes out. Times are milliseconds there and here.

use plimsoll_analysis::{GroupSource, TraceAnalysis, analyse, slack};
use plimsoll_schemas::{Attr, Outcome, QueueSource, Rules, TimeClass};

use crate::testing::{Build, TestSpan, span};

const MS: i64 = 1_000_000;

fn ms(n: u64, start: i64, end: i64) -> TestSpan {
    span(n, start * MS, end * MS)
}

/// The milliseconds of one span in one class.
fn time(answer: &TraceAnalysis<'_>, span: usize, class: TimeClass) -> i64 {
    answer.spans[span].time.get(class).0 / MS
}

/// `docs/concepts/time.md`: an agent asks a model server.
#[test]
fn where_the_time_of_a_model_call_goes() {
    let spans = [
        ms(1, 0, 100).on("agent").named("invoke_agent").with(Attr::GenAiOperationName, "invoke_agent"),
        ms(2, 10, 60).child_of(1).client().on("agent").named("chat").with(Attr::GenAiOperationName, "chat"),
        ms(3, 14, 58)
            .child_of(2)
            .server()
            .on("vllm")
            .named("llm_request")
            .with(Attr::TimeInQueue, 0.012)
            .with(Attr::TimeInModelPrefill, 0.006)
            .with(Attr::TimeInModelDecode, 0.024),
    ];
    let rules = Rules::default();
    let answer = analyse(&spans, &rules);
    assert_eq!((time(&answer, 0, TimeClass::Compute), time(&answer, 0, TimeClass::Blocked)), (50, 50));
    assert_eq!((time(&answer, 1, TimeClass::Transit), time(&answer, 1, TimeClass::Blocked)), (6, 44));
    assert_eq!((time(&answer, 2, TimeClass::Queue), time(&answer, 2, TimeClass::Compute)), (12, 30));
    assert_eq!(time(&answer, 2, TimeClass::Unattributed), 2);
    assert_eq!(answer.spans[2].queue_source, Some(QueueSource::Attribute));
    assert_eq!(answer.spans[0].queue_source, None, "nobody says whether the agent waited");
    let runs: Vec<(&str, i64)> = answer.runs.iter().map(|r| (r.stage, r.duration.0 / MS)).collect();
    assert_eq!(runs, [("agent", 100), ("inference", 50)]);
}

/// `docs/concepts/critical-path.md`: two calls side by side.
#[test]
fn the_path_of_two_calls_side_by_side() {
    let spans = [
        ms(1, 0, 100).named("root").stage("agent"),
        ms(2, 10, 40).child_of(1).named("search").stage("retrieval"),
        ms(3, 30, 90).child_of(1).named("chat").stage("inference"),
    ];
    let rules = Rules::default();
    let answer = analyse(&spans, &rules);
    let path: Vec<(usize, i64, i64)> =
        answer.critical_path.iter().map(|p| (p.span, p.start.0 / MS, p.duration.0 / MS)).collect();
    assert_eq!(path, [(0, 0, 30), (2, 30, 60), (0, 90, 10)]);
    assert_eq!(path.iter().map(|p| p.2).sum::<i64>(), 100, "the whole of the root");
}

/// `docs/concepts/attempts.md`: a tool call that is tried three times.
#[test]
fn three_attempts_of_one_call() {
    let attempt = |n, start, end| ms(n, start, end).child_of(1).client().on("agent").tool("crm");
    let refused = |n, start, end| attempt(n, start, end).with(Attr::HttpStatusCode, 503).failed();
    let spans = [
        ms(1, 0, 90).on("agent").named("invoke_agent").stage("agent"),
        refused(2, 0, 10),
        refused(3, 30, 40),
        attempt(4, 80, 90),
    ];
    let rules = Rules::default();
    let answer = analyse(&spans, &rules);
    let [group] = answer.groups.as_slice() else { panic!("one logical call: {:?}", answer.groups) };
    assert_eq!(group.source, GroupSource::IdentitySiblings);
    let outcomes: Vec<Outcome> = group.attempts.iter().map(|a| a.outcome).collect();
    assert_eq!(outcomes, [Outcome::Overload, Outcome::Overload, Outcome::Ok]);
    let totals = answer.attempt_totals();
    assert_eq!((totals.logical_calls, totals.attempts, totals.retries), (1, 3, 2));
    assert_eq!(totals.wasted.0 / MS, 10 + 10 + 20 + 40);
    assert_eq!(time(&answer, 0, TimeClass::Backoff), 60, "the agent sat the delays out");
    let run = answer.runs.iter().find(|r| r.stage == "execute").expect("a run");
    assert_eq!((run.attempts, run.outcome, run.duration.0 / MS), (3, Outcome::Ok, 90));
}

/// `docs/concepts/attempts.md`: an agent that asks the same again although it got its answer.
#[test]
fn a_loop_is_no_retry() {
    let call = |n: u64, start, end, arguments| {
        ms(n, start, end).child_of(1).on("agent").tool("search").with(Attr::GenAiToolCallArguments, arguments)
    };
    let spans = [
        ms(1, 0, 100).on("agent").named("invoke_agent").stage("agent"),
        call(2, 0, 10, r#"{"q":"fares","limit":5}"#),
        call(3, 20, 30, r#"{"limit": 5, "q": "fares"}"#),
        call(4, 40, 50, r#"{"q":"fares","limit":5}"#),
        call(5, 60, 70, r#"{"q":"hotels"}"#),
    ];
    let rules = Rules::default();
    let answer = analyse(&spans, &rules);
    let [group] = answer.groups.as_slice() else { panic!("one loop: {:?}", answer.groups) };
    assert_eq!((group.source, group.attempts.len()), (GroupSource::SemanticRepeat, 3));
    let totals = answer.attempt_totals();
    assert_eq!((totals.logical_calls, totals.attempts, totals.retries), (4, 4, 0));
}

/// `docs/concepts/critical-path.md`: the same two calls by calling context.
#[test]
fn the_path_by_calling_context() {
    let spans = [
        ms(1, 0, 100).named("root").stage("agent"),
        ms(2, 10, 40).child_of(1).named("search").stage("retrieval"),
        ms(3, 30, 90).child_of(1).named("chat").stage("inference"),
    ];
    let rules = Rules::default();
    let answer = analyse(&spans, &rules);
    let mut contexts: Vec<(&str, i64)> =
        answer.runs.iter().map(|r| (answer.context(r), r.path.total().0 / MS)).collect();
    contexts.sort_unstable();
    assert_eq!(contexts, [("agent", 40), ("agent > inference", 60), ("agent > retrieval", 0)]);
}

/// `docs/concepts/critical-path.md`: what the two calls matter to the request's end.
#[test]
fn the_slack_and_drag_of_two_calls_side_by_side() {
    let spans = [
        ms(1, 0, 100).named("root").stage("agent"),
        ms(2, 10, 40).child_of(1).named("search").stage("retrieval"),
        ms(3, 30, 90).child_of(1).named("chat").stage("inference"),
    ];
    let rules = Rules::default();
    let found = slack::of(&spans, &analyse(&spans, &rules));
    let found: Vec<_> = found.iter().flatten().map(|s| (s.slack.0 / MS, s.drag.0 / MS)).collect();
    assert_eq!(found, [(0, 100), (50, 0), (0, 50)]);
}
