//! The planned delays between attempts, as stretches of the span that waits them out.

use super::Attempts;
use crate::calls::Calls;
use crate::cover::Cover;
use crate::trace::{Interval, Trace};

/// By span, disjoint and in order.
#[derive(Debug, Default)]
pub(crate) struct Backoffs {
    /// The span of each of the intervals, in ascending order.
    owners: Vec<usize>,
    intervals: Vec<Interval>,
}

impl Backoffs {
    pub fn of(&self, span: usize) -> &[Interval] {
        let begin = self.owners.partition_point(|owner| *owner < span);
        let own = self.owners[begin..].iter().take_while(|owner| **owner == span).count();
        &self.intervals[begin..begin + own]
    }
}

pub(crate) fn backoffs(
    trace: &Trace<'_, '_>,
    calls: &Calls<'_>,
    attempts: &Attempts<'_>,
    cover: &Cover<'_>,
) -> Backoffs {
    let mut gaps: Vec<(usize, Interval)> = Vec::new();
    let chains = (0..calls.list.len()).filter(|c| attempts.of_call[*c].group.is_some());
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
    gaps.dedup_by(|next, last| next.0 == last.0 && last.1.absorb(next.1));
    let (owners, intervals) = gaps.into_iter().unzip();
    Backoffs { owners, intervals }
}

fn waits(trace: &Trace<'_, '_>, cover: &Cover<'_>, i: usize) -> Option<usize> {
    cover.awaiter(i).or_else(|| trace.parent(i))
}
