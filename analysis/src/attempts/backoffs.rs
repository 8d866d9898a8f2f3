//! The planned delays between attempts, as stretches of the span that waits them out.

use super::Attempts;
use crate::calls::Calls;
use crate::cover::Cover;
use crate::decompose::union;
use crate::trace::{Interval, Trace};

/// By span, disjoint and in order.
#[derive(Debug, Default)]
pub(crate) struct Backoffs {
    intervals: Vec<Interval>,
    /// Span, and where its intervals begin and end; sorted.
    owners: Vec<(usize, usize, usize)>,
}

impl Backoffs {
    pub fn of(&self, span: usize) -> &[Interval] {
        match self.owners.binary_search_by_key(&span, |owner| owner.0) {
            Ok(at) => &self.intervals[self.owners[at].1..self.owners[at].2],
            Err(_) => &[],
        }
    }
}

pub(crate) fn backoffs(
    trace: &Trace<'_, '_>,
    calls: &Calls<'_>,
    attempts: &Attempts<'_>,
    cover: &Cover,
) -> Backoffs {
    let mut gaps: Vec<(usize, Interval)> = Vec::new();
    let chains = (0..calls.list.len()).filter(|c| attempts.group_of_call[*c].is_some());
    for members in chains.map(|c| attempts.logical.of(c)) {
        let mut ended = (i64::MIN, i64::MIN);
        for pair in members.windows(2) {
            let (last, next) = (&calls.list[pair[0]], &calls.list[pair[1]]);
            ended.0 = ended.0.max(trace.times[last.span].end);
            ended.1 = ended.1.max(trace.times[last.top].end);
            let owner = |a, b| waits(trace, cover, a).filter(|owner| waits(trace, cover, b) == Some(*owner));
            // Within one wrapper, or between two.
            let gap = match owner(last.span, next.span) {
                Some(owner) => Some((owner, ended.0, trace.times[next.span].start)),
                None => owner(last.top, next.top).map(|owner| (owner, ended.1, trace.times[next.top].start)),
            };
            gaps.extend(
                gap.filter(|g| g.1 < g.2).map(|(owner, start, end)| (owner, Interval { start, end })),
            );
        }
    }
    gaps.sort_unstable();
    let mut backoffs = Backoffs::default();
    for owned in gaps.chunk_by(|a, b| a.0 == b.0) {
        let mut intervals: Vec<Interval> = owned.iter().map(|(_, gap)| *gap).collect();
        union(&mut intervals);
        let begin = backoffs.intervals.len();
        backoffs.intervals.extend(intervals);
        backoffs.owners.push((owned[0].0, begin, backoffs.intervals.len()));
    }
    backoffs
}

fn waits(trace: &Trace<'_, '_>, cover: &Cover, i: usize) -> Option<usize> {
    cover.awaiter(i).or_else(|| trace.parent(i))
}
