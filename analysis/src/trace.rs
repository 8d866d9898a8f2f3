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
        Self { start: self.start.clamp(to.start, to.end), end: self.end.clamp(to.start, to.end) }
    }

    pub fn shift(self, by: i64) -> Self {
        match (self.start.checked_add(by), self.end.checked_add(by)) {
            (Some(start), Some(end)) => Self { start, end },
            _ => self,
        }
    }
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
    /// Which attributes each span has.
    pub has: Vec<AttrSet>,
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
        by_start.sort_by(|a, b| order::compare(&spans[*a], &spans[*b]));
        let Parents { parent, by_link, ids, .. } = Parents::new(spans, &by_start, &mut flags);
        let mut tree = Tree::new(parent, by_link, &by_start);
        let has: Vec<AttrSet> = spans.iter().map(AttrSet::on).collect();
        let has_anywhere = has.iter().copied().fold(AttrSet::default(), AttrSet::or);
        if has_anywhere.meets(skew::HOST) && skew::correct(spans, &tree, &mut times, &mut flags) {
            // Stable, so that the tie-break survives.
            by_start.sort_by_key(|i| times[*i].start);
            tree = Tree::new(tree.parent, tree.by_link, &by_start);
        }
        if let Some(root) = tree.roots.first() {
            let end = times[*root].end;
            for (flags, time) in flags.iter_mut().zip(&times) {
                flags.outlives_root = time.end > end;
            }
        }
        Self { spans, tree, ids, times, by_start, flags, has, has_anywhere }
    }

    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// See [`Ids::original`].
    pub fn original(&self, i: usize) -> Option<usize> {
        if self.flags[i].duplicate_id { self.ids.original(self.spans, i) } else { None }
    }

    pub fn parent(&self, i: usize) -> Option<usize> {
        self.tree.parent[i]
    }

    /// Whether `child` ran elsewhere than its parent: the far side of a call.
    pub fn is_remote(&self, child: usize, parent: usize) -> bool {
        use plimsoll_schemas::SpanKind::{Consumer, Server};
        let (child, parent) = (&self.spans[child], &self.spans[parent]);
        matches!(child.kind, Server | Consumer) || child.service != parent.service
    }

    pub fn summary<'f>(&self, flags: impl Iterator<Item = &'f SpanFlags>) -> TraceFlags {
        let roots = self.tree.roots.iter().filter(|root| !self.flags[**root].duplicate_id).count();
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
