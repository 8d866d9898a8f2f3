//! Large and degenerate traces: each would take minutes or overflow the stack if anything recursed or were quadratic.

use plimsoll_analysis::{TraceAnalysis, analyse};
use plimsoll_schemas::{Attr, DurationNs, Rules, Span};

use crate::testing::{Build, TestSpan, span};

const SPANS: u64 = 100_000;

fn check(spans: &[TestSpan], tell: impl Fn(&TraceAnalysis<'_>)) {
    let rules = Rules::default();
    let answer = analyse(spans, &rules);
    let root = answer.root.expect("a root");
    let path: DurationNs = answer.critical_path.iter().map(|p| p.duration).sum();
    assert_eq!(path, spans[root].duration.max(DurationNs::ZERO));
    for run in &answer.runs {
        assert_eq!(run.time.total(), run.duration);
    }
    let exact = |(span, answer): (&Span<'_>, &plimsoll_analysis::SpanAnalysis<'_>)| {
        answer.time.total() == span.duration.max(DurationNs::ZERO)
    };
    assert!(spans.iter().zip(&answer.spans).all(exact));
    tell(&answer);
}

fn fan(child: impl Fn(u64) -> TestSpan) -> Vec<TestSpan> {
    let width = 10 * SPANS as i64;
    std::iter::once(span(1, 0, width)).chain((2..=SPANS).map(|n| child(n).child_of(1))).collect()
}

#[test]
fn a_hundred_thousand_children() {
    check(&fan(|n| span(n, 10 * n as i64, 10 * n as i64 + 7)), |answer| {
        assert_eq!(answer.critical_path.len(), 2 * SPANS as usize - 3);
    });
}

#[test]
fn a_hundred_thousand_retries() {
    let call = |n: u64| {
        span(n, 10 * n as i64, 10 * n as i64 + 7)
            .client()
            .with(Attr::PeerService, "far")
            .with(Attr::HttpStatusCode, 503_i64)
    };
    check(&fan(call), |answer| {
        assert_eq!(answer.groups.len(), 1);
        assert_eq!(answer.attempt_totals().retries, SPANS as u32 - 2);
    });
    check(&fan(|n| call(n).with(Attr::IdempotencyKey, "k")), |answer| assert_eq!(answer.groups.len(), 1));
}

#[test]
fn a_hundred_thousand_repetitions() {
    let call = |n: u64| {
        let arguments = if n.is_multiple_of(2) { r#"{"a":1,"b":2}"# } else { r#"{"b": 2, "a": 1}"# };
        span(n, 10 * n as i64, 10 * n as i64 + 7).tool("search").with(Attr::GenAiToolCallArguments, arguments)
    };
    check(&fan(call), |answer| {
        assert_eq!(answer.groups.len(), 1);
        assert_eq!(answer.attempt_totals().retries, 0);
    });
}

#[test]
fn everything_at_once_and_overlapping() {
    check(&fan(|n| span(n, 5, 10 * n as i64)), |answer| assert_eq!(answer.critical_path.len(), 2));
}

#[test]
fn everything_in_one_run_and_overlapping() {
    let tangle: Vec<TestSpan> = (1..=SPANS)
        .map(|n| {
            let span = span(n, n as i64, 3 * SPANS as i64 + (n as i64 * 7_919) % 1_000);
            if n == 1 { span } else { span.child_of(1 + (n * 31) % (n - 1)) }
        })
        .collect();
    check(&tangle, |answer| assert_eq!(answer.runs.len(), 1));
}

#[test]
fn a_hundred_thousand_hedges() {
    let hedge = |n| span(n, 5, 10 * n as i64).client().with(Attr::IdempotencyKey, "k");
    check(&fan(hedge), |answer| assert!(answer.groups[0].attempts[1..].iter().all(|a| a.hedge)));
}

#[test]
fn one_consumer_of_a_hundred_thousand_messages() {
    let mut spans: Vec<TestSpan> = (1..=SPANS).map(|n| span(n, n as i64, n as i64 + 9).producer()).collect();
    let all = |consumer: TestSpan| (1..=SPANS).fold(consumer, Build::linked_to);
    spans.push(all(span(SPANS + 1, SPANS as i64, 2 * SPANS as i64).consumer()));
    check(&spans, |answer| assert!(answer.spans[SPANS as usize].queue_source.is_some()));
}

#[test]
fn ids_and_times_in_no_order() {
    let shuffled = |n: u64| {
        let start = (n * 7_919 % SPANS) as i64;
        span(n.wrapping_mul(0x9e37_79b9_7f4a_7c15), 10 * start, 10 * start + 30).client()
    };
    check(&fan(shuffled), |answer| assert_eq!(answer.order.len(), SPANS as usize));
}

#[test]
fn a_chain_ten_thousand_deep() {
    let deep = 10_000;
    let chain: Vec<TestSpan> = (1..=deep)
        .map(|n| {
            let call = span(n, n as i64, 3 * deep as i64 - n as i64).client().tool("same");
            if n == 1 { call } else { call.child_of(n - 1) }
        })
        .collect();
    check(&chain, |answer| {
        assert_eq!(answer.spans[deep as usize - 1].depth, deep as u32 - 1);
        assert_eq!(answer.attempt_totals().attempts, 1);
    });
}

#[test]
fn a_chain_of_stages() {
    let chain: Vec<TestSpan> = (1..=SPANS)
        .map(|n| {
            let call = span(n, n as i64, 3 * SPANS as i64 - n as i64);
            let call = call.stage(if n.is_multiple_of(2) { "a" } else { "b" });
            if n == 1 { call } else { call.child_of(n - 1) }
        })
        .collect();
    check(&chain, |answer| assert_eq!(answer.runs.len(), SPANS as usize));
}

#[test]
fn nothing_but_cycles() {
    let pairs: Vec<TestSpan> =
        (1..=SPANS).map(|n| span(n, n as i64, n as i64 + 9).child_of(((n - 1) ^ 1) + 1)).collect();
    check(&pairs, |answer| assert!(answer.flags.cycle && answer.flags.multiple_roots));
    let ring: Vec<TestSpan> =
        (1..=SPANS).map(|n| span(n, n as i64, n as i64 + 9).child_of(n % SPANS + 1)).collect();
    check(&ring, |answer| assert!(answer.flags.cycle && !answer.flags.multiple_roots));
}

#[test]
fn nothing_but_one_id() {
    let same: Vec<TestSpan> = (1..=SPANS).map(|n| span(7, n as i64, n as i64 + 9)).collect();
    check(&same, |answer| assert!(answer.flags.duplicate_id));
    let copies: Vec<TestSpan> =
        (1..=SPANS).map(|n| span(7, 0, 9).with(Attr::HttpStatusCode, (n * 7919 % SPANS) as i64)).collect();
    check(&copies, |answer| assert_eq!(answer.runs.len(), 1));
}

#[test]
fn nothing_but_orphans() {
    let orphans: Vec<TestSpan> = (1..=SPANS).map(|n| span(n, 0, 0).child_of(n + SPANS)).collect();
    check(&orphans, |answer| assert!(answer.flags.missing_parent));
}

#[test]
fn the_end_of_time() {
    let spans =
        [span(1, i64::MAX - 5, i64::MAX), span(2, i64::MAX, i64::MAX).child_of(1), span(3, 0, i64::MAX)];
    check(&spans, |_| {});
    check(&[span(1, 10, 3)], |answer| assert!(answer.flags.negative_duration));
}

#[test]
fn no_spans() {
    let rules = Rules::default();
    assert!(analyse(&[], &rules).root.is_none());
}
