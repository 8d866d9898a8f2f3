use plimsoll_schemas::{Attr, Rules};

use crate::analyse;
use crate::testing::{Build, TestSpan, span};

/// Each group as `source: spans`, with `-` for superseded and `h` for hedged attempts, and `+n` for backoff.
fn check(spans: &[TestSpan], expected: &[&str]) {
    let rules = Rules::default();
    let analysis = analyse(spans, &rules);
    let groups: Vec<String> = analysis
        .groups
        .iter()
        .map(|group| {
            let tries = group.attempts.iter().map(|a| {
                let backoff = if a.backoff.0 > 0 { format!("+{} ", a.backoff.0) } else { String::new() };
                let superseded = if a.superseded { "-" } else { "" };
                let hedge = if a.hedge { "h" } else { "" };
                format!("{backoff}{}{superseded}{hedge}", spans[a.span].span_id.bytes()[7])
            });
            format!("{}: {}", group.source.as_str(), tries.collect::<Vec<_>>().join(" "))
        })
        .collect();
    assert_eq!(groups, expected);
}

fn call(n: u64, start: i64, end: i64, status: i64) -> TestSpan {
    let call = span(n, start, end).child_of(1).client().with(Attr::PeerService, "far");
    call.with(Attr::HttpStatusCode, status)
}

fn root() -> TestSpan {
    span(1, 0, 1000)
}

#[test]
fn siblings_that_failed_retryably_are_attempts() {
    let spans =
        [root(), call(2, 10, 20, 503), call(3, 30, 40, 503), call(4, 60, 70, 200), call(5, 80, 90, 200)];
    check(&spans, &["identity_siblings: 2- +10 3- +20 4"]);
}

#[test]
fn a_retry_may_start_the_moment_that_the_last_attempt_ends() {
    check(&[root(), call(2, 10, 20, 503), call(3, 20, 30, 200)], &["identity_siblings: 2- 3"]);
    check(&[root(), call(2, 10, 20, 503), call(3, 19, 30, 200)], &[]);
}

#[test]
fn an_answered_call_is_not_tried_again() {
    // 3 says of itself that it retries 2, and succeeds: 4 is another call, though 2 failed.
    let hedge = call(3, 15, 30, 200).with(Attr::HttpResendCount, 1_i64);
    let spans = [root(), call(2, 10, 20, 503), hedge, call(4, 40, 50, 200)];
    check(&spans, &["http_resend_count: 2- 3h"]);
    let rules = Rules::default();
    let edge = analyse(&spans, &rules).edges[0];
    assert_eq!((edge.logical_calls, edge.attempts, edge.retries, edge.hedges), (2, 3, 0, 1));
}

#[test]
fn a_wrong_request_is_not_tried_again() {
    check(&[root(), call(2, 10, 20, 400), call(3, 30, 40, 200)], &[]);
}

#[test]
fn parallel_calls_have_retries_of_their_own() {
    let spans = [
        root(),
        call(2, 10, 20, 503),
        call(3, 10, 25, 503),
        call(4, 30, 40, 200),
        call(5, 35, 50, 200),
        call(6, 60, 70, 200),
    ];
    check(&spans, &["identity_siblings: 2- +10 4", "identity_siblings: 3- +10 5"]);
}

#[test]
fn another_path_another_tool_call_or_another_parent_is_another_call() {
    let path = |span: TestSpan, path| span.with(Attr::UrlPath, path);
    check(&[root(), path(call(2, 10, 20, 503), "/a"), path(call(3, 30, 40, 200), "/b")], &[]);
    let tool = |n, at: i64, id| {
        span(n, at, at + 10).child_of(1).tool("search").failed().with(Attr::GenAiToolCallId, id)
    };
    check(&[root(), tool(2, 10, "x"), tool(3, 30, "y")], &[]);
    check(&[root(), span(9, 0, 50).child_of(1), call(2, 10, 20, 503).child_of(9), call(3, 60, 70, 200)], &[]);
}

#[test]
fn counters_say_so_themselves() {
    let resent = call(3, 30, 40, 200).with(Attr::HttpResendCount, 1_i64);
    check(&[root(), call(2, 10, 20, 200), resent], &["http_resend_count: 2- +10 3"]);
    let grpc = call(3, 15, 40, 200).with(Attr::PreviousRpcAttempts, 1_i64);
    check(&[root(), call(2, 10, 20, 503), grpc], &["grpc_previous_attempts: 2- 3h"]);
    let delivery = |n, start: i64, count: i64| {
        let run = span(n, start, start + 10).child_of(1).consumer().with(Attr::MessagingMessageId, "m");
        run.with(Attr::PubSubDeliveryAttempt, count)
    };
    check(&[root().producer(), delivery(2, 2000, 1), delivery(3, 2020, 2)], &["delivery_count: 2- +10 3"]);
}

#[test]
fn a_framework_marks_a_retry_between_attempts() {
    let chat = |n, start: i64| {
        let chat = span(n, start, start + 10).child_of(1).with(Attr::GenAiOperationName, "chat");
        chat.with(Attr::GenAiRequestModel, "m")
    };
    check(
        &[root(), chat(2, 10), span(3, 20, 30).child_of(1).named("model_retry"), chat(4, 30), chat(5, 50)],
        &["framework_marker: 2- +10 4"],
    );
}

#[test]
fn a_key_makes_one_call_of_all_and_the_first_good_hedge_wins() {
    let keyed = |n, start, end, status| call(n, start, end, status).with(Attr::IdempotencyKey, "k");
    check(
        &[root(), keyed(2, 10, 90, 200), keyed(3, 30, 50, 200), keyed(4, 100, 110, 503)],
        &["identity_siblings: 2- 3h +10 4-"],
    );
    check(&[root(), keyed(2, 10, 20, 200), keyed(3, 30, 50, 200)], &["identity_siblings: 2- +10 3"]);
}

#[test]
fn an_activity_is_tried_until_it_succeeds() {
    let run = |n, start: i64| {
        let run = span(n, start, start + 10).child_of(2).server().named("RunActivity:Pay");
        run.with(Attr::TemporalActivityId, "7")
    };
    let start = span(2, 10, 10).child_of(1).client().named("StartActivity:Pay");
    check(&[root(), start, run(3, 20), run(4, 50)], &["identity_siblings: 3- +20 4"]);
}

#[test]
fn a_call_within_a_call_counts_once() {
    let mcp = |n, start: i64, parent| {
        let call = span(n, start, start + 10).child_of(parent).client().named("MCP send tools/call search");
        call.with(Attr::McpMethodName, "tools/call").with(Attr::GenAiToolName, "search")
    };
    // Retried inside the wrapper.
    let tool = span(2, 10, 100).child_of(1).tool("search");
    check(&[root(), tool, mcp(3, 10, 2).failed(), mcp(4, 40, 2)], &["identity_siblings: 3- +20 4"]);
    // The wrapper retried.
    let tool = |n, start: i64| span(n, start, start + 20).child_of(1).tool("search").failed();
    check(
        &[root(), tool(2, 10), mcp(3, 10, 2).failed(), tool(4, 50), mcp(5, 50, 4).failed()],
        &["identity_siblings: 3- +30 5"],
    );
    let rules = Rules::default();
    let spans = [root(), tool(2, 10), mcp(3, 10, 2).failed()];
    let totals = analyse(&spans, &rules).attempt_totals();
    assert_eq!((totals.logical_calls, totals.attempts), (1, 1));
}

#[test]
fn one_response_is_one_call_by_whatever_names() {
    let chat = |n, model| {
        let chat = span(n, n as i64, 100 - n as i64).with(Attr::GenAiRequestModel, model);
        chat.with(Attr::GenAiOperationName, "chat").with(Attr::GenAiResponseId, "r")
    };
    let rules = Rules::default();
    let spans = [root(), chat(2, "m").child_of(1), chat(3, "m-2026").child_of(2).client()];
    assert_eq!(analyse(&spans, &rules).attempt_totals().attempts, 1);
}

#[test]
fn an_agent_that_repeats_itself_does_not_retry() {
    let tool = |n, start: i64, arguments| {
        span(n, start, start + 10).child_of(1).tool("search").with(Attr::GenAiToolCallArguments, arguments)
    };
    let spans = [
        root(),
        tool(2, 10, r#"{"q": "x", "n": 1}"#),
        tool(3, 30, r#"{"n":1,"q":"x"}"#),
        tool(4, 50, r#"{"q": "y"}"#),
    ];
    check(&spans, &["semantic_repeat: 2 3"]);
    let rules = Rules::default();
    let analysis = analyse(&spans, &rules);
    assert_eq!(analysis.attempt_totals().retries, 0);
    assert_eq!(analysis.attempt_totals().logical_calls, 3);
    assert_eq!(analysis.spans[2].attempt, Some((0, 2)));
}

/// Windows are 10 s wide; the second attempt falls into the second one.
#[test]
fn edges_count_attempts_where_they_start() {
    let second = 1_000_000_000;
    let spans = [
        span(1, 0, 30 * second),
        call(2, 8 * second, 9 * second, 503),
        call(3, 12 * second, 13 * second, 200),
        call(4, 14 * second, 15 * second, 200),
        span(5, 16 * second, 17 * second)
            .child_of(1)
            .client()
            .named("lone")
            .with(Attr::HttpResendCount, 2_i64),
    ];
    let rules = Rules::default();
    let counted: Vec<_> = analyse(&spans, &rules)
        .edges
        .iter()
        .map(|e| {
            let times = (e.wasted.0 / second, e.backoff.0 / second);
            (
                e.window.0 / second,
                e.edge.callee,
                e.logical_calls,
                e.attempts,
                e.retries,
                e.failed_attempts,
                times,
            )
        })
        .collect();
    assert_eq!(
        counted,
        [(0, "far", 1, 1, 0, 1, (1, 0)), (10, "far", 1, 2, 1, 0, (3, 3)), (10, "lone", 1, 1, 1, 0, (0, 0)),]
    );
}

#[test]
fn a_callee_without_a_name_is_the_service_that_answered() {
    let rules = Rules::default();
    let spans = [root(), span(2, 0, 9).child_of(1).client(), span(3, 1, 8).child_of(2).server().on("far")];
    let analysis = analyse(&spans, &rules);
    let edge = analysis.edges[0].edge;
    assert_eq!((edge.caller, edge.callee, edge.operation), ("svc", "far", "op"));
}
