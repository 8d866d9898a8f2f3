//! What a span matters to the request's end: its *slack*, how much longer it could take before the request does, and its *drag*, how
//! much shorter the request would be if the span took no time (critical path drag: Devaux, *Total Project Control*, 1999). A span on
//! the critical path has no slack; one off it has no drag, nor has one that ends together with another.
//!
//! Both ask what would have happened, and that needs an assumption, the one that the critical path makes too: within a span,
//! whatever begins, or its end, waits for every awaited child that had ended by then, and follows the last of
//! them after the span's own time between, which stays as it is. So a trace is a network of activities, and slack is total
//! float. Spans that the request does not await have neither.
//!
//! For the view of one trace only: no part of [`crate::analyse`].

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use plimsoll_schemas::{DurationNs, Span};

use crate::cover::Cover;
use crate::model::TraceAnalysis;
use crate::trace::{Interval, Trace};
use crate::waits;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlackAndDrag {
    pub slack: DurationNs,
    pub drag: DurationNs,
}

/// Of each of the spans from which the analysis came; None for those that the request does not await. O(n log n).
pub fn of(spans: &[Span<'_>], analysis: &TraceAnalysis<'_>) -> Vec<Option<SlackAndDrag>> {
    let trace = Trace::new(spans);
    let waited = |i: usize| analysis.spans[i].queue_before.0;
    let cover = Cover::new(&trace, |i| waits::asked_by(&trace, i).map(|_| waited(i)));
    let mut known: Vec<Option<Known>> = vec![None; trace.len()];
    if let Some(root) = trace.tree.root() {
        known[root] = Some(Known { time: trace.times[root], slack: 0, limit: i64::MAX });
    }
    // An awaiter comes before what it awaits.
    for &i in &trace.tree.order {
        let Some(above) = known[i] else { continue };
        let within = |c: usize| {
            let (whole, time) = (cover.interval(c), cover.interval(c).clip(above.time));
            (time.len() > 0 || time == whole).then_some((c, time))
        };
        let children: Vec<(usize, Interval)> = cover.awaited(i).filter_map(within).collect();
        for (child, found) in level(above, children) {
            known[child] = Some(found);
        }
    }
    let answer =
        |k: Known| SlackAndDrag { slack: DurationNs(k.slack), drag: DurationNs(k.time.len().min(k.limit)) };
    known.into_iter().map(|k| k.map(answer)).collect()
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// Clipped to its awaiter.
    time: Interval,
    slack: i64,
    /// The request would be shorter by no more than this, however short the span.
    limit: i64,
}

/// The children of one span.
fn level(above: Known, mut children: Vec<(usize, Interval)>) -> Vec<(usize, Known)> {
    // Stable: in the order of the trace. Whatever waits for another comes after it.
    children.sort_by_key(|(_, time)| (time.start, time.end));
    let n = children.len();
    let (after, last_end) = followed(above.time.start, &children);

    // Backwards. `latest[k]`: what ends before one of the children from k on, or before the parent's end, must end by this, or the
    // parent ends later.
    let mut latest = vec![last_end; n + 1];
    let mut floats = vec![0; n];
    for k in (0..n).rev() {
        let time = children[k].1;
        let next = children.partition_point(|(_, c)| c.start < time.end).max(k + 1);
        floats[k] = latest[next] - time.end;
        latest[k] = latest[k + 1].min(after[k] + floats[k]);
    }

    // Forwards. Were a child gone, the parent would be shorter until another chain holds it up: one through a child that was
    // running when it began, or one that leaves for a later child from what it itself followed.
    let mut running: BinaryHeap<(Reverse<i64>, i64)> = BinaryHeap::new();
    let mut found = Vec::with_capacity(n);
    for (k, (child, time)) in children.into_iter().enumerate() {
        while running.peek().is_some_and(|(_, end)| *end <= time.start) {
            running.pop();
        }
        let beside = running.peek().map_or(i64::MAX, |(Reverse(float), _)| *float);
        let limit = above.limit.min(beside).min(latest[k + 1] - after[k]);
        found.push((child, Known { time, slack: above.slack + floats[k], limit }));
        running.push((Reverse(floats[k]), time.end));
    }
    found
}

/// The end that each child follows: the last of those before its start; and the last of all.
fn followed(start: i64, children: &[(usize, Interval)]) -> (Vec<i64>, i64) {
    let mut running: BinaryHeap<Reverse<i64>> = BinaryHeap::new();
    let mut ended = start;
    let mut after = Vec::with_capacity(children.len());
    for (_, time) in children {
        while let Some(Reverse(end)) = running.peek().copied().filter(|Reverse(end)| *end <= time.start) {
            running.pop();
            ended = ended.max(end);
        }
        after.push(ended);
        running.push(Reverse(time.end));
    }
    let last = children.iter().map(|(_, time)| time.end).max().unwrap_or(start);
    (after, last.max(start))
}
