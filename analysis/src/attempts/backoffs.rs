//! The planned delays between attempts, as stretches of the span that waits them out.

use super::Attempts;
use crate::calls::Calls;
use crate::cover::Cover;
use crate::trace::{Interval, Trace};

/// Disjoint for each span; by span and time.
#[derive(Debug, Default)]
pub(crate) struct Backoffs(Vec<(usize, Interval)>);

impl Backoffs {
    pub fn of(&self, span: usize) -> impl Iterator<Item = Interval> {
        let begin = self.0.partition_point(|gap| gap.0 < span);
        self.0[begin..].iter().take_while(move |gap| gap.0 == span).map(|gap| gap.1)
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
    Backoffs(gaps)
}

fn waits(trace: &Trace<'_, '_>, cover: &Cover<'_>, i: usize) -> Option<usize> {
    cover.awaiter(i).or_else(|| trace.parent(i))
}
