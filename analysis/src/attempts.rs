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
pub use semantic::canonical_json;

#[derive(Debug)]
pub(crate) struct Attempts<'a> {
    /// Transport retries by first start, then repetitions.
    pub groups: Vec<AttemptGroup<'a>>,
    /// The logical calls, single attempts included: lists of calls, owned by the first of them.
    pub logical: Lists,
    /// By call.
    pub of_call: Vec<OfCall>,
    of_span: Vec<OfSpan>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct OfCall {
    /// The group of the logical call of which it is the first.
    pub group: Option<usize>,
    /// Whether it carries a retry marker itself.
    pub is_marked: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct OfSpan {
    attempt: Option<(usize, u32)>,
    is_retry: bool,
    unit: Unit,
}

/// A call's innermost or outermost span, standing for an attempt.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Unit {
    /// The transport group.
    pub group: Option<usize>,
    /// Whether its result is the one that counted.
    pub is_used: bool,
}

impl Attempts<'_> {
    /// The group of a span and its ordinal from 1; transport retries before repetitions.
    pub fn of_span(&self, span: usize) -> Option<(usize, u32)> {
        self.of_span[span].attempt
    }

    /// What attempt a span stands for, if any.
    pub fn unit(&self, span: usize) -> Unit {
        self.of_span[span].unit
    }

    /// Whether the span is a transport retry: its first attempt may be missing.
    pub fn is_retry(&self, span: usize) -> bool {
        self.of_span[span].is_retry
    }
}

pub(crate) fn group<'a>(trace: &Trace<'_, 'a>, calls: &Calls<'a>, outcomes: &[Outcome]) -> Attempts<'a> {
    let n = calls.list.len();
    let mut chains = Chains {
        trace,
        calls,
        outcomes,
        of: (0..n).map(|c| Chain { first: c, latest: c, source: None }).collect(),
        framework_markers: framework_markers(trace),
    };
    identity::shared(trace, calls, |identity, calls| chains.link(identity.is_one_call(), calls));

    let logical = Lists::new(n, 0..n, |c| Some(chains.of[c].first));
    let mut attempts = Attempts {
        groups: Vec::new(),
        of_call: Vec::with_capacity(n),
        of_span: vec![OfSpan::default(); trace.len()],
        logical,
    };
    for c in 0..n {
        let (call, Chain { first, source, .. }) = (&calls.list[c], chains.of[c]);
        let mut of_call = OfCall { group: None, is_marked: marker(trace, call).is_some() };
        if let (Some(source), members @ [_, _, ..]) = (source, attempts.logical.of(c)) {
            of_call.group = Some(attempts.groups.len());
            let group = tries(trace, calls, outcomes, source, members);
            for (member, attempt) in members.iter().map(|c| &calls.list[*c]).zip(&group.attempts) {
                for span in [member.span, member.top] {
                    let unit = &mut attempts.of_span[span].unit;
                    unit.group = of_call.group;
                    unit.is_used |= !attempt.superseded;
                }
            }
            attempts.groups.push(group);
        }
        attempts.of_call.push(of_call);
        attempts.of_span[call.span].is_retry = first != c || of_call.is_marked;
    }
    semantic::repeat(trace, calls, outcomes, &mut attempts);
    for (g, group) in attempts.groups.iter().enumerate() {
        for attempt in &group.attempts {
            attempts.of_span[attempt.span].attempt.get_or_insert((g, attempt.ordinal));
        }
    }
    attempts
}

/// Calls of one logical call, in the making.
#[derive(Debug, Clone, Copy)]
struct Chain {
    /// The call with which it began.
    first: usize,
    /// On the first of a chain, the last one so far.
    latest: usize,
    /// On the first of a chain, the strongest evidence so far.
    source: Option<GroupSource>,
}

struct Chains<'t, 's, 'a> {
    trace: &'t Trace<'s, 'a>,
    calls: &'t Calls<'a>,
    outcomes: &'t [Outcome],
    /// By call.
    of: Vec<Chain>,
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
                retried.or(previous.filter(|_| is_one_call || evidence.is_some()).map(|p| self.of[p].first));
            if let Some(first) = chain {
                self.of[c].first = first;
                let chain = &mut self.of[first];
                chain.latest = c;
                let evidence = evidence.unwrap_or(GroupSource::IdentitySiblings);
                chain.source = Some(chain.source.map_or(evidence, |s| s.min(evidence)));
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
            let first = self.of[c].first;
            if self.of[first].latest == c {
                return Some(first);
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
    if !trace.has(call.span).meets(MARKERS) {
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
