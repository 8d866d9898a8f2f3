//! Who waits for whom. A span is covered by the children that it awaits: those called synchronously.
//!
//! Producers, consumers and linked spans are caused by a span, not awaited by it. The exception needs evidence:
//! a Temporal workflow awaits the activities that it starts (see [`crate::emitter`]), the wait for a worker included.

use plimsoll_schemas::SpanKind;

use crate::lists::Lists;
use crate::trace::{Interval, Trace};

#[derive(Debug)]
pub(crate) struct Cover<'t> {
    awaiter: Vec<Option<usize>>,
    /// By start; some of them may be awaited by nobody.
    children: &'t Lists,
    /// For each span the stretch by which it covers its awaiter.
    intervals: &'t [Interval],
    /// Where there are activities, which are awaited by others than their parents and from before their start.
    activities: Option<Activities>,
}

#[derive(Debug)]
struct Activities {
    awaited: Lists,
    intervals: Vec<Interval>,
}

impl<'t> Cover<'t> {
    /// `activity`: of a span that is one, how long it waited for a worker.
    pub fn new(trace: &'t Trace<'_, '_>, activity: impl Fn(usize) -> Option<i64>) -> Self {
        let mut intervals: Option<Vec<Interval>> = None;
        let awaiter = |i: usize| {
            let parent = trace.parent(i)?;
            if let Some(waited) = activity(i) {
                let intervals = intervals.get_or_insert_with(|| trace.times.clone());
                intervals[i].start = intervals[i].start.saturating_sub(waited);
                return trace.parent(parent);
            }
            let is_async = matches!(trace.spans[i].kind, SpanKind::Producer | SpanKind::Consumer);
            (!is_async && !trace.tree.places[i].by_link).then_some(parent)
        };
        let awaiter: Vec<Option<usize>> = (0..trace.len()).map(awaiter).collect();
        let activities = intervals.map(|intervals| {
            let awaited = Lists::new(trace.len(), trace.by_start.iter().copied(), |i| awaiter[i]);
            Activities { awaited, intervals }
        });
        Self { awaiter, children: &trace.tree.children, intervals: &trace.times, activities }
    }

    pub fn awaiter(&self, i: usize) -> Option<usize> {
        self.awaiter[i]
    }

    /// The spans that this one awaits, by start.
    pub fn awaited(&self, i: usize) -> impl Iterator<Item = usize> {
        let among = self.activities.as_ref().map_or(self.children, |a| &a.awaited);
        among.of(i).iter().copied().filter(move |child| self.awaiter[*child] == Some(i))
    }

    pub fn interval(&self, i: usize) -> Interval {
        self.activities.as_ref().map_or(self.intervals, |a| &a.intervals)[i]
    }
}
