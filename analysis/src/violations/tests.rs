use plimsoll_schemas::{Attr, Rules};

use crate::testing::{Build, TestSpan, span};
use crate::{ViolationKind, analyse};

fn check(spans: &[TestSpan], expected: &[(ViolationKind, u64)]) {
    let rules = Rules::default();
    let answer = analyse(spans, &rules);
    let id = |n: &u64| crate::testing::id(*n);
    let found: Vec<_> = answer.violations.iter().map(|v| (v.kind, spans[v.span].span_id)).collect();
    let expected: Vec<_> = expected.iter().map(|(kind, n)| (*kind, id(n))).collect();
    assert_eq!(found, expected, "{:?}", answer.violations);
}

fn root() -> TestSpan {
    span(1, 0, 1_000).stage("agent")
}

fn call(n: u64, start: i64, end: i64) -> TestSpan {
    span(n, start, end).child_of(1).client().tool("pay")
}

#[test]
fn a_side_effect_may_not_be_tried_again_without_a_key() {
    let again = |idempotent: Option<bool>, key: Option<&'static str>| -> Vec<TestSpan> {
        let attempt = |n, start, end| {
            let mut span = call(n, start, end);
            if let Some(idempotent) = idempotent {
                span = span.with(Attr::ToolIdempotent, idempotent);
            }
            key.into_iter().fold(span, |span, key| span.with(Attr::IdempotencyKey, key))
        };
        vec![root(), attempt(2, 0, 10).with(Attr::HttpStatusCode, 503).failed(), attempt(3, 20, 30)]
    };
    check(&again(Some(false), None), &[(ViolationKind::RetryWithoutKey, 3)]);
    check(&again(Some(false), Some("k")), &[]);
    check(&again(Some(true), None), &[]);
    check(&again(None, None), &[]);
}

#[test]
fn the_same_key_may_not_succeed_twice() {
    let paid = |n, start, end| call(n, start, end).with(Attr::IdempotencyKey, "k");
    check(&[root(), paid(2, 0, 10), paid(3, 20, 30)], &[(ViolationKind::DuplicateSideEffect, 3)]);
    check(&[root(), paid(2, 0, 10).with(Attr::HttpStatusCode, 503).failed(), paid(3, 20, 30)], &[]);
}

#[test]
fn what_cannot_help_may_not_be_tried_again() {
    let first = call(2, 0, 10).with(Attr::HttpStatusCode, 422).failed();
    let second = call(3, 20, 30).with(Attr::HttpResendCount, 1);
    check(&[root(), first, second], &[(ViolationKind::RetryOfNonRetryable, 3)]);
}

#[test]
fn nothing_may_begin_after_the_deadline() {
    let root = || root().with(Attr::Deadline, 100);
    check(&[root(), call(2, 50, 300)], &[]);
    check(&[root(), call(2, 101, 300)], &[(ViolationKind::AttemptAfterDeadline, 2)]);
    let nearer = call(2, 50, 300).with(Attr::Deadline, 40);
    check(&[root(), nearer], &[(ViolationKind::AttemptAfterDeadline, 2)]);
}

#[test]
fn what_is_executed_is_what_was_approved() {
    let approved =
        |used: &'static str| call(2, 0, 9).with(Attr::ApprovedDigest, "d1").with(Attr::ArgumentsDigest, used);
    check(&[root(), approved("d1")], &[]);
    check(&[root(), approved("d2")], &[(ViolationKind::ApprovalMismatch, 2)]);
    check(&[root(), call(2, 0, 9).with(Attr::ApprovedDigest, "d1")], &[]);
    check(
        &[root(), call(2, 0, 9).with(Attr::ApprovalRequired, true)],
        &[(ViolationKind::MissingApproval, 2)],
    );
}
