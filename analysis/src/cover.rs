//! Who waits for whom. A span is covered by the children that it awaits: those called synchronously.
//!
//! Producers, consumers and linked spans are caused by a span, not awaited by it. The exception needs evidence:
//! a Temporal workflow awaits the activities that it starts (see [`crate::emitter`]), the wait for a worker included.

use plimsoll_schemas::SpanKind;

use crate::lists::Lists;
use crate::trace::{Interval, Trace};
use crate::waits::Wait;

#[derive(Debug)]
pub(crate) struct Cover {
    awaiter: Vec<Option<usize>>,
    awaited: Lists,
    /// For each span the stretch by which it covers its awaiter.
    intervals: Vec<Interval>,
}

impl Cover {
    pub fn new(trace: &Trace<'_, '_>, waits: &[Wait]) -> Self {
        let mut awaiter = vec![None; trace.len()];
        let mut intervals = trace.times.clone();
        for i in 0..trace.len() {
            let Some(parent) = trace.parent(i) else { continue };
            let kind = trace.spans[i].kind;
            awaiter[i] = if waits[i].is_activity {
                intervals[i].start = intervals[i].start.saturating_sub(waits[i].before);
                trace.parent(parent)
            } else if trace.tree.by_link[i] || matches!(kind, SpanKind::Producer | SpanKind::Consumer) {
                None
            } else {
                Some(parent)
            };
        }
        let awaited = Lists::new(trace.len(), &trace.by_start, |i| awaiter[i]);
        Self { awaiter, awaited, intervals }
    }

    pub fn awaiter(&self, i: usize) -> Option<usize> {
        self.awaiter[i]
    }

    /// The spans that this one awaits, by start.
    pub fn awaited(&self, i: usize) -> &[usize] {
        self.awaited.of(i)
    }

    pub fn interval(&self, i: usize) -> Interval {
        self.intervals[i]
    }
}
