//! The spans of one trace, made fit for analysis: in a tree, with times that agree with each other.

use plimsoll_schemas::{DurationNs, Span};

use crate::model::{SpanFlags, TraceFlags};
use crate::present::AttrSet;
use crate::tree::{Ids, Parents, Tree};
use crate::{order, skew};

/// A half-open stretch of time in nanoseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Interval {
    pub start: i64,
    pub end: i64,
}

impl Interval {
    /// Of the span as sent. A negative duration is none; a span that would end after the end of time starts earlier.
    fn of(span: &Span<'_>) -> Self {
        let duration = span.duration.max(DurationNs::ZERO).0;
        let end = span.start.0.saturating_add(duration);
        Self { start: end - duration, end }
    }

    pub fn len(self) -> i64 {
        self.end - self.start
    }

    pub fn clip(self, to: Self) -> Self {
        let within = |at: i64| at.max(to.start).min(to.end);
        Self { start: within(self.start), end: within(self.end) }
    }

    /// Grows by what comes next by start, if that overlaps or touches it.
    pub fn absorb(&mut self, next: Self) -> bool {
        let touches = next.start <= self.end;
        if touches {
            self.end = self.end.max(next.end);
        }
        touches
    }

    pub fn shift(self, by: i64) -> Self {
        match (self.start.checked_add(by), self.end.checked_add(by)) {
            (Some(start), Some(end)) => Self { start, end },
            _ => self,
        }
    }
}

/// Whether two names are equal: mostly they are even one text.
pub(crate) fn is_same(a: &str, b: &str) -> bool {
    std::ptr::eq(a, b) || a == b
}

#[derive(Debug)]
pub(crate) struct Trace<'s, 'a> {
    pub spans: &'s [Span<'a>],
    pub tree: Tree,
    pub ids: Ids,
    /// When each span ran, after correction of clock skew.
    pub times: Vec<Interval>,
    /// The spans by corrected start; ties by id, then by all else that is sent.
    pub by_start: Vec<usize>,
    pub flags: Vec<SpanFlags>,
    /// Which attributes any of them has.
    pub has_anywhere: AttrSet,
}

impl<'s, 'a> Trace<'s, 'a> {
    pub fn new(spans: &'s [Span<'a>]) -> Self {
        let mut times: Vec<Interval> = spans.iter().map(Interval::of).collect();
        let mut flags: Vec<SpanFlags> = spans
            .iter()
            .map(|s| SpanFlags { negative_duration: s.duration < DurationNs::ZERO, ..SpanFlags::default() })
            .collect();
        let mut by_start: Vec<usize> = (0..spans.len()).collect();
        // As they come most often, and then nothing else is compared.
        let in_order = |a: &usize, b: &usize| {
            (spans[*a].start, spans[*a].span_id) < (spans[*b].start, spans[*b].span_id)
        };
        if !by_start.is_sorted_by(in_order) {
            by_start.sort_by(|a, b| order::compare(&spans[*a], &spans[*b]));
        }
        let Parents { of, ids, .. } = Parents::new(spans, &by_start, &mut flags);
        let mut tree = Tree::new(of, &by_start);
        let has_anywhere = spans.iter().map(AttrSet::on).fold(AttrSet::default(), AttrSet::or);
        if has_anywhere.meets(skew::HOST) && skew::correct(spans, &tree, &mut times, &mut flags) {
            // Stable, so that the tie-break survives.
            by_start.sort_by_key(|i| times[*i].start);
            tree = Tree::new(tree.places, &by_start);
        }
        if let Some(root) = tree.root() {
            let end = times[root].end;
            for (flags, time) in flags.iter_mut().zip(&times) {
                flags.outlives_root = time.end > end;
            }
        }
        Self { spans, tree, ids, times, by_start, flags, has_anywhere }
    }

    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Which attributes the span has.
    pub fn has(&self, i: usize) -> AttrSet {
        AttrSet::on(&self.spans[i])
    }

    /// See [`Ids::original`].
    pub fn original(&self, i: usize) -> Option<usize> {
        if self.flags[i].duplicate_id { self.ids.original(self.spans, i) } else { None }
    }

    pub fn parent(&self, i: usize) -> Option<usize> {
        self.tree.places[i].parent
    }

    /// Whether `child` ran elsewhere than its parent: the far side of a call.
    pub fn is_remote(&self, child: usize, parent: usize) -> bool {
        use plimsoll_schemas::SpanKind::{Consumer, Server};
        let (child, parent) = (&self.spans[child], &self.spans[parent]);
        matches!(child.kind, Server | Consumer) || !is_same(child.service, parent.service)
    }

    pub fn summary<'f>(&self, flags: impl Iterator<Item = &'f SpanFlags>) -> TraceFlags {
        let roots = self.tree.roots().iter().filter(|root| !self.flags[**root].duplicate_id).count();
        let mut summary = TraceFlags { multiple_roots: roots > 1, ..TraceFlags::default() };
        for flags in flags {
            summary.negative_duration |= flags.negative_duration;
            summary.missing_parent |= flags.missing_parent;
            summary.cycle |= flags.cycle;
            summary.skew |= flags.skew.is_some() || flags.negative_handoff;
            summary.duplicate_id |= flags.duplicate_id;
        }
        summary
    }
}
