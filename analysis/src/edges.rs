//! Calls and attempts per edge and window, from which amplification is stated without another look at spans.
//!
//! Every call counts, also those that were never retried. An attempt counts in the window in which it started, its
//! logical call in that of the first attempt. A lone attempt that says of itself that it is a retry counts as one:
//! its first attempt was not seen.

use std::cmp::Ordering;

use plimsoll_schemas::{DurationNs, Outcome, Rules, Slice, SliceKey, UnixNanos};

use crate::attempts::Attempts;
use crate::calls::Calls;
use crate::model::{Edge, EdgeWindow};
use crate::slices::Slices;
use crate::trace::Trace;

/// `queued`: the queue time of a span, where it is known.
pub(crate) fn count<'a>(
    trace: &Trace<'_, 'a>,
    calls: &Calls<'a>,
    attempts: &Attempts<'a>,
    slices: &Slices<'a>,
    outcomes: &[Outcome],
    mut queued: impl FnMut(usize) -> Option<DurationNs>,
) -> Vec<EdgeWindow<'a>> {
    let mut rows: Vec<EdgeWindow<'a>> = Vec::with_capacity(calls.list.len());
    for (c, call) in calls.list.iter().enumerate() {
        if let Some(group) = attempts.of_call[c].group {
            let group = &attempts.groups[group];
            // The slice is the logical call's: attempts are not counted apart by a value that only some carry.
            let slice = slices.of(call.span);
            for attempt in &group.attempts {
                let queue = at_far_side(trace, attempt.span, &mut queued);
                let mut row = row(trace, group.edge, slice, attempt.span, attempt.outcome, queue);
                row.logical_calls = u32::from(attempt.ordinal == 1);
                row.retries = u32::from(attempt.ordinal > 1 && !attempt.hedge);
                row.hedges = u32::from(attempt.hedge);
                row.backoff = attempt.backoff;
                row.wasted = attempt.backoff;
                if attempt.superseded {
                    row.wasted += DurationNs(trace.times[attempt.span].len());
                }
                add(&mut rows, row);
            }
        } else if !attempts.logical.of(c).is_empty() {
            let edge = call.edge(trace, std::iter::once(call.span));
            let queue = at_far_side(trace, call.span, &mut queued);
            let mut row = row(trace, edge, slices.of(call.span), call.span, outcomes[call.span], queue);
            row.logical_calls = 1;
            row.retries = u32::from(attempts.of_call[c].is_marked);
            add(&mut rows, row);
        }
    }
    rows.sort_by(order);
    rows.dedup_by(|next, sum| merge(sum, next));
    rows
}

/// Attempts of one call mostly fall into one window: then they are one row at once.
fn add<'a>(rows: &mut Vec<EdgeWindow<'a>>, row: EdgeWindow<'a>) {
    if !rows.last_mut().is_some_and(|last| merge(last, &row)) {
        rows.push(row);
    }
}

/// Adds what comes next, if it is of the same edge, window and slice.
fn merge(sum: &mut EdgeWindow<'_>, next: &EdgeWindow<'_>) -> bool {
    let same = next.window == sum.window && next.edge == sum.edge && next.slice == sum.slice;
    if same {
        sum.logical_calls += next.logical_calls;
        sum.attempts += next.attempts;
        sum.retries += next.retries;
        sum.hedges += next.hedges;
        sum.failed_attempts += next.failed_attempts;
        sum.failed_overload += next.failed_overload;
        sum.failed_deadline += next.failed_deadline;
        sum.failed_correctness += next.failed_correctness;
        sum.queue_known += next.queue_known;
        sum.queue += next.queue;
        sum.depth = sum.depth.min(next.depth);
        sum.wasted += next.wasted;
        sum.backoff += next.backoff;
    }
    same
}

fn order(a: &EdgeWindow<'_>, b: &EdgeWindow<'_>) -> Ordering {
    let by_slice = || {
        let keys = SliceKey::ALL.into_iter();
        keys.map(|key| a.slice.get(key).cmp(&b.slice.get(key))).find(|order| order.is_ne())
    };
    let by_edge = a.window.cmp(&b.window).then_with(|| a.edge.cmp(&b.edge));
    by_edge.then_with(|| by_slice().unwrap_or(Ordering::Equal))
}

/// The queue time of the called side: of the spans right below the call, or of the call itself where nothing is.
fn at_far_side(
    trace: &Trace<'_, '_>,
    span: usize,
    queued: &mut impl FnMut(usize) -> Option<DurationNs>,
) -> Option<DurationNs> {
    let children = trace.tree.children.of(span).iter().filter(|child| !trace.flags[**child].duplicate_id);
    children.chain([&span]).filter_map(|i| queued(*i)).reduce(|a, b| a + b)
}

fn row<'a>(
    trace: &Trace<'_, 'a>,
    edge: Edge<'a>,
    slice: Slice<'a>,
    span: usize,
    outcome: Outcome,
    queue: Option<DurationNs>,
) -> EdgeWindow<'a> {
    let start = trace.times[span].start;
    EdgeWindow {
        edge,
        window: UnixNanos(start.saturating_sub(start.rem_euclid(Rules::EDGE_WINDOW.0))),
        logical_calls: 0,
        attempts: 1,
        retries: 0,
        hedges: 0,
        failed_attempts: u32::from(outcome != Outcome::Ok),
        failed_overload: u32::from(outcome == Outcome::Overload),
        failed_deadline: u32::from(outcome == Outcome::Deadline),
        failed_correctness: u32::from(outcome == Outcome::Correctness),
        queue_known: u32::from(queue.is_some()),
        queue: queue.unwrap_or(DurationNs::ZERO),
        depth: trace.tree.places[span].depth,
        wasted: DurationNs::ZERO,
        backoff: DurationNs::ZERO,
        slice,
    }
}
