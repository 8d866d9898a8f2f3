//! Which calls are attempts of one logical call, by the strongest evidence there is:
//!
//! 1. HTTP resend counts, proxies' among them;
//! 2. gRPC's previous attempts;
//! 3. delivery counters of brokers and Celery;
//! 4. markers of agent frameworks;
//! 5. identity: the same idempotency key, the same workflow activity, or siblings with the same callee, operation
//!    and arguments, one after the other, all but the last failed retryably;
//! 6. an agent that repeats itself (see [`semantic`]), which is no transport retry and is counted apart.
//!
//! Attempts that overlap are hedges; only explicit evidence (1 to 4, a key, an activity) makes an overlap one,
//! since siblings side by side are otherwise just parallel calls.

mod backoffs;
mod identity;
mod semantic;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use plimsoll_schemas::{Attr, DurationNs, Outcome};

use crate::calls::{Call, Calls};
use crate::emitter;
use crate::lists::Lists;
use crate::model::{Attempt, AttemptGroup, GroupSource};
use crate::present::AttrSet;
use crate::trace::Trace;
pub(crate) use backoffs::{Backoffs, backoffs};
use identity::Identity;
pub use semantic::canonical_json;

#[derive(Debug)]
pub(crate) struct Attempts<'a> {
    /// Transport retries by first start, then repetitions.
    pub groups: Vec<AttemptGroup<'a>>,
    /// The group of each span and its ordinal from 1; transport retries before repetitions.
    pub of_span: Vec<Option<(usize, u32)>>,
    /// The logical calls, single attempts included: lists of calls, owned by the first of them.
    pub logical: Lists,
    /// The group of each logical call, by its first call.
    pub group_of_call: Vec<Option<usize>>,
    /// For each call whether it carries a retry marker itself.
    pub marked: Vec<bool>,
    retry: Vec<bool>,
}

impl Attempts<'_> {
    /// Whether the span is a transport retry: its first attempt may be missing.
    pub fn is_retry(&self, span: usize) -> bool {
        self.retry[span]
    }
}

pub(crate) fn group<'a>(trace: &Trace<'_, 'a>, calls: &Calls<'a>, outcomes: &[Outcome]) -> Attempts<'a> {
    let n = calls.list.len();
    let mut chains = Chains {
        trace,
        calls,
        outcomes,
        first: (0..n).collect(),
        latest: (0..n).collect(),
        source: vec![None; n],
        framework_markers: framework_markers(trace),
    };
    let identities: Vec<Identity<'a>> = calls.list.iter().map(|call| Identity::of(trace, call)).collect();
    identity::shared(&identities, |identity, calls| chains.link(identity.is_one_call(), calls));

    let order: Vec<usize> = (0..n).collect();
    let logical = Lists::new(n, &order, |c| Some(chains.first[c]));
    let mut attempts = Attempts {
        groups: Vec::new(),
        of_span: vec![None; trace.len()],
        group_of_call: vec![None; n],
        marked: calls.list.iter().map(|call| marker(trace, call).is_some()).collect(),
        retry: vec![false; trace.len()],
        logical,
    };
    for c in 0..n {
        attempts.retry[calls.list[c].span] = chains.first[c] != c || attempts.marked[c];
        if let (Some(source), members @ [_, _, ..]) = (chains.source[c], attempts.logical.of(c)) {
            attempts.group_of_call[c] = Some(attempts.groups.len());
            let group = tries(trace, calls, outcomes, source, members);
            attempts.groups.push(group);
        }
    }
    semantic::repeat(trace, calls, outcomes, &mut attempts);
    for (g, group) in attempts.groups.iter().enumerate() {
        for attempt in &group.attempts {
            attempts.of_span[attempt.span].get_or_insert((g, attempt.ordinal));
        }
    }
    attempts
}

/// Calls in the making of chains. All vectors are by call.
struct Chains<'t, 's, 'a> {
    trace: &'t Trace<'s, 'a>,
    calls: &'t Calls<'a>,
    outcomes: &'t [Outcome],
    /// The call with which each one's chain began.
    first: Vec<usize>,
    /// For the first of a chain, the last one so far.
    latest: Vec<usize>,
    /// For the first of a chain, the strongest evidence so far.
    source: Vec<Option<GroupSource>>,
    /// Where agent frameworks mark a retry: parent and time, sorted.
    framework_markers: Vec<(usize, i64)>,
}

impl<'a> Chains<'_, '_, 'a> {
    /// Links calls of one identity, which come by start.
    fn link(&mut self, is_one_call: bool, same: &[usize]) {
        // Chains whose last attempt failed retryably, by its end; an entry may be outdated.
        let mut open: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
        let mut previous: Option<usize> = None;
        for &c in same {
            let call = &self.calls.list[c];
            let start = self.trace.times[call.span].start;
            let evidence = marker(self.trace, call).or_else(|| {
                previous.filter(|p| self.is_announced(*p, c)).map(|_| GroupSource::FrameworkMarker)
            });
            let retried = if is_one_call { None } else { self.next_open(&mut open, start) };
            let chain =
                retried.or(previous.filter(|_| is_one_call || evidence.is_some()).map(|p| self.first[p]));
            if let Some(first) = chain {
                self.first[c] = first;
                self.latest[first] = c;
                let evidence = evidence.unwrap_or(GroupSource::IdentitySiblings);
                self.source[first] = Some(self.source[first].map_or(evidence, |s| s.min(evidence)));
            }
            if self.outcomes[call.span].is_retryable() {
                open.push(Reverse((self.trace.times[call.span].end, c)));
            }
            previous = Some(c);
        }
    }

    /// The chain that has waited longest for its next attempt, if its last one ended by `start`.
    fn next_open(&self, open: &mut BinaryHeap<Reverse<(i64, usize)>>, start: i64) -> Option<usize> {
        while let Some(Reverse((end, c))) = open.peek().copied() {
            if end > start {
                return None;
            }
            open.pop();
            if self.latest[self.first[c]] == c {
                return Some(self.first[c]);
            }
        }
        None
    }

    /// Whether a framework marked a retry between the two.
    fn is_announced(&self, previous: usize, next: usize) -> bool {
        if self.framework_markers.is_empty() {
            return false;
        }
        let (previous, next) = (&self.calls.list[previous], &self.calls.list[next]);
        let Some(parent) = self.trace.parent(next.top) else { return false };
        let from = (parent, self.trace.times[previous.top].start);
        let at = self.framework_markers.partition_point(|m| *m < from);
        self.framework_markers
            .get(at)
            .is_some_and(|m| m.0 == parent && m.1 <= self.trace.times[next.top].start)
    }
}

fn framework_markers(trace: &Trace<'_, '_>) -> Vec<(usize, i64)> {
    let markers = (0..trace.len()).filter(|i| emitter::is_retry_marker(&trace.spans[*i]));
    let mut markers: Vec<_> =
        markers.filter_map(|i| Some((trace.parent(i)?, trace.times[i].start))).collect();
    markers.sort_unstable();
    markers
}

const MARKERS: AttrSet = AttrSet::of(&[
    Attr::HttpResendCount,
    Attr::PreviousRpcAttempts,
    Attr::PubSubDeliveryAttempt,
    Attr::ServiceBusDeliveryCount,
    Attr::CeleryRetries,
]);

/// The explicit word of a span that it is not the first attempt.
fn marker(trace: &Trace<'_, '_>, call: &Call<'_>) -> Option<GroupSource> {
    if !trace.has[call.span].meets(MARKERS) {
        return None;
    }
    let span = &trace.spans[call.span];
    let above = |attr, first: i64| span.int(attr).is_some_and(|n| n > first);
    if above(Attr::HttpResendCount, 0) {
        Some(GroupSource::HttpResendCount)
    } else if above(Attr::PreviousRpcAttempts, 0) {
        Some(GroupSource::GrpcPreviousAttempts)
    } else if above(Attr::PubSubDeliveryAttempt, 1)
        || above(Attr::ServiceBusDeliveryCount, 1)
        || above(Attr::CeleryRetries, 0)
    {
        Some(GroupSource::DeliveryCount)
    } else {
        None
    }
}

/// The group of `members`, which are calls by start.
fn tries<'a>(
    trace: &Trace<'_, 'a>,
    calls: &Calls<'a>,
    outcomes: &[Outcome],
    source: GroupSource,
    members: &[usize],
) -> AttemptGroup<'a> {
    let mut ended = i64::MIN;
    let mut attempts: Vec<Attempt<'a>> = Vec::with_capacity(members.len());
    for (&c, ordinal) in members.iter().zip(1..) {
        let call = &calls.list[c];
        let time = trace.times[call.span];
        let is_later = ordinal > 1 && source.is_retry();
        attempts.push(Attempt {
            span: call.span,
            ordinal,
            outcome: outcomes[call.span],
            superseded: source.is_retry(),
            hedge: is_later && time.start < ended,
            backoff: DurationNs(if is_later { time.start.saturating_sub(ended).max(0) } else { 0 }),
            idempotency_key: identity::key(trace, call),
        });
        ended = ended.max(time.end);
    }
    let used = used(trace, &attempts);
    attempts[used].superseded = false;
    let spans = members.iter().map(|c| calls.list[*c].span);
    AttemptGroup { source, edge: calls.list[members[0]].edge(trace, spans), attempts }
}

/// The attempt whose result counts: the last one, but of hedged ones the first that succeeded.
fn used(trace: &Trace<'_, '_>, attempts: &[Attempt<'_>]) -> usize {
    let last = attempts.len() - 1;
    if attempts.iter().all(|a| !a.hedge) {
        return last;
    }
    let by_end = |i: &usize| trace.times[attempts[*i].span].end;
    let good = (0..=last).filter(|i| attempts[*i].outcome == Outcome::Ok).min_by_key(by_end);
    good.or((0..=last).max_by_key(by_end)).unwrap_or(last)
}
