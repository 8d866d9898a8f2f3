//! Slack and drag against a slow replay: the trace is run again with one span longer, or gone.

use plimsoll_analysis::slack::{self, SlackAndDrag};
use plimsoll_analysis::{TraceAnalysis, analyse};
use plimsoll_schemas::{DurationNs, Rules, Span};
use proptest::prelude::*;

use crate::oracle::Oracle;
use crate::properties::any_trace;
use crate::testing::{Build, TestSpan, span};

/// The awaited spans of a request, clipped to what awaits them, and how the request runs if one of them takes another time.
struct Replay {
    root: usize,
    times: Vec<Option<(i64, i64)>>,
    /// In the order of their starts.
    awaited: Vec<Vec<usize>>,
}

#[derive(Clone, Copy)]
enum Change {
    Longer(usize, i64),
    Gone(usize),
}

impl Replay {
    fn new(spans: &[Span<'_>], answer: &TraceAnalysis<'_>) -> Option<Self> {
        let (oracle, root) = (Oracle { spans, answer }, answer.root?);
        let mut times = vec![None; spans.len()];
        times[root] = Some((oracle.start(root), oracle.end(root)));
        let mut awaited = vec![Vec::new(); spans.len()];
        for &i in &answer.order {
            let Some((from, to)) = times[i] else { continue };
            for c in oracle.awaited(i) {
                let (start, end) = (oracle.start(c), oracle.end(c));
                let clipped = (start.clamp(from, to), end.clamp(from, to));
                if clipped.0 < clipped.1 || clipped == (start, end) {
                    times[c] = Some(clipped);
                    awaited[i].push(c);
                }
            }
            let place = |c: &usize| answer.order.iter().position(|i| i == c);
            awaited[i].sort_by_key(|c| (times[*c], place(c)));
        }
        Some(Self { root, times, awaited })
    }

    fn time(&self, i: usize) -> (i64, i64) {
        self.times[i].expect("awaited")
    }

    /// How long a span takes: each of its children, and its end, follows what had ended before, as long after the last as it did.
    fn length(&self, i: usize, change: Change) -> i64 {
        if matches!(change, Change::Gone(gone) if gone == i) {
            return 0;
        }
        let (start, end) = self.time(i);
        // Its children with their new ends, from its new start on, which is 0.
        let mut done: Vec<(usize, i64)> = Vec::new();
        let follow = |at: i64, done: &[(usize, i64)]| {
            let before = done.iter().filter(|(c, _)| self.time(*c).1 <= at);
            let last = before.clone().map(|(c, _)| self.time(*c).1).fold(start, i64::max);
            before.map(|(_, end)| *end).fold(0, i64::max) + (at - last)
        };
        for &c in &self.awaited[i] {
            let begun = follow(self.time(c).0, &done);
            done.push((c, begun + self.length(c, change)));
        }
        follow(end, &done)
            + if let Change::Longer(longer, by) = change
                && longer == i
            {
                by
            } else {
                0
            }
    }

    /// Itself, or what it awaits.
    fn is_on_path(&self, i: usize, answer: &TraceAnalysis<'_>) -> bool {
        answer.critical_path.iter().any(|p| p.span == i)
            || self.awaited[i].iter().any(|c| self.is_on_path(*c, answer))
    }

    fn request(&self, change: Change) -> i64 {
        self.length(self.root, change)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn slack_and_drag_are_those_of_the_replay(spans in any_trace()) {
        let rules = Rules::default();
        let answer = analyse(&spans, &rules);
        let found = slack::of(&spans, &answer);
        prop_assert_eq!(found.len(), spans.len());
        let Some(replay) = Replay::new(&spans, &answer) else { return Ok(()) };
        let (start, end) = replay.time(replay.root);
        prop_assert_eq!(replay.request(Change::Longer(replay.root, 0)), end - start);
        for (i, found) in found.iter().enumerate() {
            prop_assert_eq!(found.is_some(), replay.times[i].is_some(), "span {}", i);
            let Some(found) = found else { continue };
            let longer = |by: i64| replay.request(Change::Longer(i, by)) - (end - start);
            prop_assert_eq!(longer(found.slack.0), 0, "span {}: {:?}", i, found);
            prop_assert_eq!(longer(found.slack.0 + 1), 1, "span {}: {:?}", i, found);
            prop_assert_eq!(end - start - replay.request(Change::Gone(i)), found.drag.0, "span {}: {:?}", i, found);
        }
        for part in &answer.critical_path {
            prop_assert_eq!(found[part.span].map(|f| f.slack), Some(DurationNs::ZERO));
        }
        for (i, found) in found.iter().enumerate().filter(|(i, _)| !replay.is_on_path(*i, &answer)) {
            prop_assert!(found.is_none_or(|f| f.drag == DurationNs::ZERO), "span {} is off the path", i);
        }
    }
}

fn check(spans: &[TestSpan], expected: &[Option<(i64, i64)>]) {
    let rules = Rules::default();
    let found = slack::of(spans, &analyse(spans, &rules));
    let expected: Vec<_> = expected
        .iter()
        .map(|e| e.map(|(slack, drag)| SlackAndDrag { slack: DurationNs(slack), drag: DurationNs(drag) }))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn calls_one_after_the_other_drag_as_long_as_they_take() {
    check(
        &[span(1, 0, 100), span(2, 10, 40).child_of(1), span(3, 50, 90).child_of(1)],
        &[Some((0, 100)), Some((0, 30)), Some((0, 40))],
    );
}

#[test]
fn what_runs_beside_a_span_bounds_its_drag() {
    // In the second of two calls the third span could take 20 longer; without the second call the first would hold up.
    check(
        &[
            span(1, 0, 100),
            span(2, 0, 60).child_of(1),
            span(3, 10, 90).child_of(1),
            span(4, 20, 80).child_of(3),
            span(5, 20, 60).child_of(3),
        ],
        &[Some((0, 100)), Some((30, 0)), Some((0, 30)), Some((0, 20)), Some((20, 0))],
    );
}

#[test]
fn work_that_is_not_awaited_has_neither() {
    check(
        &[span(1, 0, 100), span(2, 10, 20).child_of(1).producer(), span(3, 30, 400).child_of(2).consumer()],
        &[Some((0, 100)), None, None],
    );
}

#[test]
fn a_hundred_thousand_calls() {
    let n = 100_000_u64;
    let mut spans = vec![span(1, 0, 2 * n as i64)];
    spans.extend((1..n).map(|k| span(k + 1, 2 * k as i64 - 1, 2 * k as i64 + 2).child_of(1)));
    let rules = Rules::default();
    let found = slack::of(&spans, &analyse(&spans, &rules));
    assert_eq!(found.iter().flatten().count(), n as usize);
}
