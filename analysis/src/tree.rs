//! Who called whom: parents, links that stand for parents, and the order in which everything else walks.
//!
//! It repairs what can be repaired and flags it. A span whose parent is not in the trace hangs from the span
//! that it links to, if that one is; otherwise it is a root of its own. In a cycle the edge that is cut is
//! a link's before a parent's, and the earliest span's among equals.

#[cfg(test)]
mod tests;

use plimsoll_schemas::{Span, SpanId};

use crate::lists::Lists;
use crate::model::SpanFlags;

/// Where a span hangs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    pub parent: Option<usize>,
    /// The parent is one by link: caused by it, never awaited by it.
    pub by_link: bool,
    /// How many are above it.
    pub depth: u32,
}

/// What the ids say, before anything looks at times.
#[derive(Debug)]
pub(crate) struct Parents {
    pub of: Vec<Place>,
    pub ids: Ids,
    cyclic: bool,
}

/// Spans by id; of several with one id the earliest counts.
#[derive(Debug)]
pub(crate) struct Ids(Vec<(u64, usize, usize)>);

impl Ids {
    fn new(spans: &[Span<'_>], by_start: &[usize]) -> Self {
        let mut ids: Vec<_> =
            by_start.iter().enumerate().map(|(rank, i)| (key(spans[*i].span_id), rank, *i)).collect();
        ids.sort_unstable();
        Self(ids)
    }

    pub fn find(&self, id: SpanId) -> Option<usize> {
        self.locate(id).map(|(_, span)| span)
    }

    /// The span of which `i` was sent a second time, perhaps as a fragment. An id alone makes no copy.
    pub fn original(&self, spans: &[Span<'_>], i: usize) -> Option<usize> {
        let sent = |s: &Span<'_>| (s.start, s.kind, s.parent_span_id);
        self.find(spans[i].span_id).filter(|&original| {
            let (a, b) = (&spans[original], &spans[i]);
            original != i && sent(a) == sent(b) && (a.service, a.name) == (b.service, b.name)
        })
    }

    /// Its rank by start, and itself.
    fn locate(&self, id: SpanId) -> Option<(usize, usize)> {
        let id = key(id);
        let at = self.0.partition_point(|entry| entry.0 < id);
        self.0.get(at).filter(|entry| entry.0 == id).map(|entry| (entry.1, entry.2))
    }
}

fn key(id: SpanId) -> u64 {
    u64::from_be_bytes(*id.bytes())
}

impl Parents {
    /// `by_start`: the spans in the order that decides every tie.
    pub fn new(spans: &[Span<'_>], by_start: &[usize], flags: &mut [SpanFlags]) -> Self {
        let ids = Ids::new(spans, by_start);
        for pair in ids.0.windows(2) {
            flags[pair[1].2].duplicate_id = pair[0].0 == pair[1].0;
        }
        let mut parents = Self { of: vec![Place::default(); spans.len()], ids, cyclic: false };
        for (rank, &i) in by_start.iter().enumerate() {
            parents.resolve(spans, i, rank, &mut flags[i]);
        }
        if parents.cyclic {
            parents.cut_cycles(by_start, flags);
        }
        // Where an original lost its parent to a cycle, so does its copy. Nothing hangs from copies.
        for copy in (0..spans.len()).filter(|i| flags[*i].duplicate_id) {
            if let Some(original) = parents.ids.original(spans, copy) {
                parents.of[copy] = parents.of[original];
            }
        }
        parents
    }

    fn resolve(&mut self, spans: &[Span<'_>], i: usize, rank: usize, flags: &mut SpanFlags) {
        let span = &spans[i];
        let mut found = None;
        if let Some(id) = span.parent_span_id {
            found = self.ids.locate(id).filter(|_| id != span.span_id);
            flags.cycle = id == span.span_id;
            flags.missing_parent = found.is_none() && !flags.cycle;
        }
        if found.is_none() {
            found = span
                .links
                .iter()
                .filter(|link| link.span_id != span.span_id)
                .find_map(|link| self.ids.locate(link.span_id));
            self.of[i].by_link = found.is_some();
        }
        // Where every parent comes before its child there is no cycle to look for.
        self.cyclic |= found.is_some_and(|(parent_rank, _)| parent_rank > rank);
        self.of[i].parent = found.map(|(_, parent)| parent);
    }

    fn cut_cycles(&mut self, by_start: &[usize], flags: &mut [SpanFlags]) {
        #[derive(Clone, Copy, PartialEq)]
        enum Seen {
            Never,
            OnThisWalk,
            Before,
        }
        let mut rank = vec![0; by_start.len()];
        by_start.iter().enumerate().for_each(|(r, i)| rank[*i] = r);
        let mut seen = vec![Seen::Never; self.of.len()];
        let mut walk = Vec::new();
        for &first in by_start {
            let mut at = Some(first);
            while let Some(i) = at.filter(|i| seen[*i] == Seen::Never) {
                seen[i] = Seen::OnThisWalk;
                walk.push(i);
                at = self.of[i].parent;
            }
            if let Some(entry) = at.filter(|i| seen[*i] == Seen::OnThisWalk) {
                let begin = walk.iter().position(|i| *i == entry).unwrap_or(0);
                self.cut(&walk[begin..], &rank, flags);
            }
            for i in walk.drain(..) {
                seen[i] = Seen::Before;
            }
        }
    }

    fn cut(&mut self, cycle: &[usize], rank: &[usize], flags: &mut [SpanFlags]) {
        let earliest = |members: &mut dyn Iterator<Item = usize>| members.min_by_key(|i| rank[*i]);
        let by_link = earliest(&mut cycle.iter().copied().filter(|i| self.of[*i].by_link));
        // Links may point anywhere, so a cycle through one is no flaw of the trace.
        if by_link.is_none() {
            cycle.iter().for_each(|i| flags[*i].cycle = true);
        }
        if let Some(i) = by_link.or_else(|| earliest(&mut cycle.iter().copied())) {
            self.of[i] = Place::default();
        }
    }
}

/// The tree in walking order.
#[derive(Debug)]
pub(crate) struct Tree {
    /// By span.
    pub places: Vec<Place>,
    /// The children of each span by start; after the last span's, the spans without a parent.
    pub children: Lists,
    /// Pre-order, siblings by start: a parent comes before its children.
    pub order: Vec<usize>,
}

impl Tree {
    /// Fills in the depths.
    pub fn new(mut places: Vec<Place>, by_start: &[usize]) -> Self {
        let n = places.len();
        let children = Lists::new(n + 1, by_start.iter().copied(), |i| Some(places[i].parent.unwrap_or(n)));
        let mut order = Vec::with_capacity(n);
        let mut stack: Vec<usize> = Vec::with_capacity(n);
        stack.extend(children.of(n).iter().rev());
        while let Some(i) = stack.pop() {
            order.push(i);
            let depth = places[i].depth + 1;
            for &child in children.of(i).iter().rev() {
                places[child].depth = depth;
                stack.push(child);
            }
        }
        Self { places, children, order }
    }

    /// The spans without a parent, by start.
    pub fn roots(&self) -> &[usize] {
        self.children.of(self.places.len())
    }

    /// The first of them stands for the trace.
    pub fn root(&self) -> Option<usize> {
        self.roots().first().copied()
    }
}
