//! How each span's queueing is known: the ladder of evidence, strongest first.
//!
//! 1. `attribute`: a number on the span;
//! 2. `interval`: a span or a pair of events that is the wait;
//! 3. `enqueued`: a timestamp, in whole seconds since the epoch as Service Bus and Event Hubs send it, so that
//!    the wait may come out up to a second too long;
//! 4. `handoff`: from the producer's end to the consumer's start, less declared delay;
//! 5. `proxy`: a gateway's byte events.
//!
//! The strongest names the source; none at all is unknown, which is not zero.

use plimsoll_schemas::{Attr, DurationNs, QueueSource, Span, SpanKind, TimeClass, UnixNanos, emitters};

use crate::attempts::Attempts;
use crate::emitter::{self, Breakdown};
use crate::trace::{Interval, Trace};

/// What is known of one span's waiting.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wait {
    pub source: Option<QueueSource>,
    /// Nanoseconds waited before the span's start.
    pub before: i64,
    /// The producer ended after the consumer had started.
    pub negative: bool,
    pub breakdown: Breakdown,
    /// A stretch that events mark as a wait.
    pub marked: Option<Interval>,
    /// The class of all the span's own time.
    pub class: Option<TimeClass>,
}

/// How long an activity waited for a worker; None for other spans.
pub(crate) fn of_activity(trace: &Trace<'_, '_>, attempts: &Attempts<'_>, i: usize) -> Option<i64> {
    asked_by(trace, i).map(|_| of_span(trace, attempts, i).before)
}

pub(crate) fn of_span(trace: &Trace<'_, '_>, attempts: &Attempts<'_>, i: usize) -> Wait {
    let span = &trace.spans[i];
    let mut wait =
        Wait { breakdown: emitter::breakdown(span), class: emitter::class_of(span), ..Wait::default() };
    if wait.breakdown.queue.is_some() {
        wait.source = Some(QueueSource::Attribute);
    } else if wait.class == Some(TimeClass::Queue) {
        wait.source = Some(QueueSource::Interval);
    } else if let Some(marked) = marked(trace, i, emitters::queue_events()) {
        wait.source = Some(QueueSource::Interval);
        wait.marked = Some(marked);
    }
    // Before a later delivery lie the earlier ones and their backoff: only a first one waited in a queue.
    if !attempts.is_retry(i)
        && let Some((source, sent, delay)) = sent(trace, i)
    {
        let start = trace.times[i].start;
        wait.source = wait.source.or(Some(source));
        wait.before = start.saturating_sub(sent.saturating_add(delay)).max(0);
        // A worker that begins before the declared delay is over is early, not on another clock.
        wait.negative = sent > start;
    }
    if wait.source.is_none()
        && let Some(marked) = marked(trace, i, emitters::proxy_events())
    {
        wait.source = Some(QueueSource::Proxy);
        wait.marked = Some(marked);
    }
    wait
}

/// The parent, if it ended when it had asked for the span: whoever called the parent waits for it.
pub(crate) fn asked_by(trace: &Trace<'_, '_>, i: usize) -> Option<usize> {
    let span = &trace.spans[i];
    if !emitters::may_be_awaited(span.name) {
        return None;
    }
    trace.parent(i).filter(|p| emitters::is_awaited(trace.spans[*p].name, span.name))
}

/// How it is known when the span's work was sent, when that was, and the delay that was declared.
fn sent(trace: &Trace<'_, '_>, i: usize) -> Option<(QueueSource, i64, i64)> {
    let span = &trace.spans[i];
    match enqueued(span) {
        Some(at) => Some((QueueSource::Enqueued, at, 0)),
        None => {
            let sent = handed_over(trace, i)?;
            Some((QueueSource::Handoff, sent, declared_delay(span, sent)))
        }
    }
}

/// Between two events of the span; Triton's second one may be on a child.
fn marked(
    trace: &Trace<'_, '_>,
    i: usize,
    mut pairs: impl Iterator<Item = (&'static str, &'static str)>,
) -> Option<Interval> {
    if trace.spans[i].events.is_empty() {
        return None;
    }
    let shifted = |i: usize, at: UnixNanos| at.0.saturating_add(trace.flags[i].skew.map_or(0, |d| d.0));
    let first = |i: usize, name: &str, after: i64| {
        let events = trace.spans[i].events.iter().filter(|e| e.name == name);
        events.map(|e| shifted(i, e.time)).filter(|at| *at >= after).min()
    };
    pairs.find_map(|(from, to)| {
        let start = first(i, from, i64::MIN)?;
        let children = trace.tree.children.of(i).iter();
        let end = first(i, to, start).or_else(|| children.filter_map(|c| first(*c, to, start)).min())?;
        Some(Interval { start, end })
    })
}

/// A number this large is not in seconds: it would lie beyond the year 2262.
fn enqueued(span: &Span<'_>) -> Option<i64> {
    let seconds = span.int(Attr::ServiceBusEnqueuedTime).or_else(|| span.int(Attr::EventHubsEnqueuedTime))?;
    seconds.checked_mul(UnixNanos::NANOS_PER_SECOND).filter(|nanos| *nanos > 0)
}

/// The end of the span's producer.
fn handed_over(trace: &Trace<'_, '_>, i: usize) -> Option<i64> {
    if let Some(asked_by) = asked_by(trace, i) {
        Some(trace.times[asked_by].end)
    } else if trace.spans[i].kind == SpanKind::Consumer {
        let sender = trace.parent(i).filter(|p| !trace.tree.places[i].by_link && trace.spans[*p].sends());
        sender.map(|p| trace.times[p].end).or_else(|| linked_producer(trace, i))
    } else {
        None
    }
}

/// Until when the sender asked not to begin, after `sent`.
fn declared_delay(span: &Span<'_>, sent: i64) -> i64 {
    let countdown = || span.double(Attr::CeleryCountdown).and_then(DurationNs::from_seconds).map(|d| d.0);
    let until = span.int(Attr::NotBefore).map(|at| at.saturating_sub(sent).max(0));
    until.or_else(countdown).unwrap_or(0)
}

/// Of a batch's producers the one that ended first, since its message waited longest; those of other traces among them.
fn linked_producer(trace: &Trace<'_, '_>, i: usize) -> Option<i64> {
    let ends = trace.spans[i].links.iter().filter_map(|link| match trace.ids.find(link.span_id) {
        Some(p) => (p != i && trace.spans[p].sends()).then_some(trace.times[p].end),
        None => link.sent.map(|at| at.0),
    });
    ends.min()
}
