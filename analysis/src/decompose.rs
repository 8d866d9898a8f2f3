//! Where each span's time went: a partition of its duration into classes, exact to the nanosecond.
//!
//! Where evidence overlaps, the first of this order has it: cover by awaited children, backoff between their
//! attempts, marked waits, transit, spans that are a load or a wait by name, the queue time that an attribute
//! claims, and the span's residual. The residual is `compute`, but `unattributed` on a call whose far side
//! is not instrumented, and beyond what an engine span's own breakdown attests.

mod layers;
#[cfg(test)]
mod tests;

use std::ops::Range;

use plimsoll_schemas::{SpanKind, TimeClass};

use crate::attempts::Backoffs;
use crate::cover::Cover;
use crate::model::{ClassTimes, Segment};
use crate::trace::{Interval, Trace};
use crate::waits::Wait;
use layers::Layers;

/// A span's time, partitioned.
#[derive(Debug)]
pub(crate) struct Partition {
    /// Its part of [`Decomposer::segments`].
    pub segments: Range<usize>,
    pub time: ClassTimes,
    /// What a nanosecond is that nothing else explains.
    pub residual: TimeClass,
    /// What an attribute claimed of queue time beyond the room for it.
    pub clipped: i64,
}

/// Children of an ordinary span: room for them is made at once.
const CHILDREN: usize = 16;
/// Segments of an ordinary span.
const SEGMENTS: usize = 3;

/// Takes one span after another; the scratch space is theirs in common.
#[derive(Debug)]
pub(crate) struct Decomposer<'t, 's, 'a> {
    trace: &'t Trace<'s, 'a>,
    cover: &'t Cover<'t>,
    backoffs: &'t Backoffs,
    received: Vec<usize>,
    layers: Layers,
    claims: Vec<Interval>,
    /// Of all spans so far.
    pub segments: Vec<Segment>,
}

impl<'t, 's, 'a> Decomposer<'t, 's, 'a> {
    pub fn new(trace: &'t Trace<'s, 'a>, cover: &'t Cover<'t>, backoffs: &'t Backoffs) -> Self {
        Self {
            trace,
            cover,
            backoffs,
            received: received(trace),
            layers: Layers::new(),
            claims: Vec::with_capacity(CHILDREN),
            segments: Vec::with_capacity(SEGMENTS * trace.len()),
        }
    }

    pub fn span(&mut self, i: usize, wait: &Wait) -> Partition {
        let (own, layers) = (self.trace.times[i], &mut self.layers);
        let far = FarSide::of(self.trace, i, &self.received);
        let residual = residual(wait, &far);
        cover_claims(self.trace, self.cover, i, &mut self.claims);
        let first_child = self.claims.first().map_or(own.end, |claim| claim.start);
        layers.begin(own, TimeClass::Blocked, &self.claims);
        self.claims.clear();
        self.claims.extend(self.backoffs.of(i));
        layers.take(TimeClass::Backoff, &self.claims);
        layers.take(TimeClass::Queue, wait.marked.as_slice());
        if let Some(served) = far.served {
            layers.take(TimeClass::Transit, &around(served, own));
        }
        let clipped = take_breakdown(layers, wait, own, first_child);
        let begin = self.segments.len();
        let time = layers.finish(residual, &mut self.segments);
        Partition { segments: begin..self.segments.len(), time, residual, clipped }
    }
}

fn residual(wait: &Wait, far: &FarSide) -> TimeClass {
    match wait {
        Wait { class: Some(class), .. } => *class,
        Wait { breakdown, .. } if breakdown.compute.is_some() => TimeClass::Unattributed,
        _ if far.is_dark => TimeClass::Unattributed,
        _ => TimeClass::Compute,
    }
}

/// The union of the awaited children, clipped to the span: disjoint and in order.
fn cover_claims(trace: &Trace<'_, '_>, cover: &Cover<'_>, i: usize, claims: &mut Vec<Interval>) {
    claims.clear();
    let own = trace.times[i];
    claims.extend(cover.awaited(i).map(|c| cover.interval(c).clip(own)).filter(|c| c.len() > 0));
    if claims.len() > 1 {
        // Mostly sorted already, which costs one pass.
        claims.sort_unstable();
        claims.dedup_by(|next, last| last.absorb(*next));
    }
}

/// Queue time by attribute from the span's start to its first child, then the compute that the emitter attests
/// in what is free after it. Returns what did not fit of the queue time.
fn take_breakdown(layers: &mut Layers, wait: &Wait, own: Interval, first_child: i64) -> i64 {
    let Some(queue) = wait.breakdown.queue else { return 0 };
    let claim = Interval { start: own.start, end: own.start.saturating_add(queue).min(first_child) };
    let taken = layers.take(TimeClass::Queue, &[claim]);
    if let Some(compute) = wait.breakdown.compute {
        layers.take_first(TimeClass::Compute, compute);
    }
    queue - taken
}

/// What is known of the far side of a call.
struct FarSide {
    /// A call of which nobody instrumented the far side.
    is_dark: bool,
    /// From the first remote child's start to the last one's end, for a client.
    served: Option<Interval>,
}

impl FarSide {
    /// `received`: see [`received`].
    fn of(trace: &Trace<'_, '_>, i: usize, received: &[usize]) -> Self {
        let kind = trace.spans[i].kind;
        if !matches!(kind, SpanKind::Client | SpanKind::Producer) {
            return Self { is_dark: false, served: None };
        }
        let remote = trace.tree.children.of(i).iter().copied().filter(|c| trace.is_remote(*c, i));
        let mut is_dark = received.binary_search(&i).is_err();
        let mut served: Option<Interval> = None;
        for child in remote {
            is_dark = false;
            // A consumer takes its time when its message comes: its wait is queueing, not transit.
            if kind == SpanKind::Client
                && trace.spans[child].kind != SpanKind::Consumer
                && !trace.tree.places[child].by_link
            {
                let time = trace.times[child];
                let so_far = served.unwrap_or(time);
                served =
                    Some(Interval { start: so_far.start.min(time.start), end: so_far.end.max(time.end) });
            }
        }
        Self { is_dark, served }
    }
}

/// What of a call lies before and after the time in which it was served.
fn around(served: Interval, call: Interval) -> [Interval; 2] {
    let served = served.clip(call);
    [Interval { start: call.start, end: served.start }, Interval { start: served.end, end: call.end }]
}

/// Producers whose messages were seen to arrive by link alone, sorted. Consumers of batches hang from elsewhere.
fn received(trace: &Trace<'_, '_>) -> Vec<usize> {
    let consumers = trace.spans.iter().filter(|s| s.kind == SpanKind::Consumer);
    let linked = consumers.flat_map(|s| &s.links).filter_map(|link| trace.ids.find(link.span_id));
    let mut producers: Vec<usize> = linked.filter(|p| trace.spans[*p].kind == SpanKind::Producer).collect();
    producers.sort_unstable();
    producers
}
