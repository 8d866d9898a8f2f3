//! Where a run's time went: a partition of its duration over all of its spans.
//!
//! Spans of one run overlap: a parent is blocked by a child of the same stage, branches run side by side.
//! A nanosecond in which any of them works is work; waiting counts where nothing works, and `blocked` is left where
//! only other stages' runs go on. Between attempts nothing of the run goes on: that is backoff.

use plimsoll_schemas::{DurationNs, TimeClass};

use super::Evidence;
use crate::model::ClassTimes;
use crate::trace::Interval;

const CLASSES: usize = TimeClass::ALL.len();

/// What the run is doing while several of its spans do different things: the first of these.
const PRECEDENCE: [TimeClass; CLASSES] = [
    TimeClass::Compute,
    TimeClass::Load,
    TimeClass::Transit,
    TimeClass::Queue,
    TimeClass::Backoff,
    TimeClass::Unattributed,
    TimeClass::Blocked,
];

/// The place of each class in [`PRECEDENCE`].
const RANK: [u8; CLASSES] = {
    let mut ranks = [0; CLASSES];
    let mut rank = 0;
    while rank < CLASSES {
        ranks[PRECEDENCE[rank] as usize] = rank as u8;
        rank += 1;
    }
    ranks
};

/// The rank of a span that has not begun, or has ended.
const ABSENT: u8 = CLASSES as u8;

/// Scratch space, used for one run after another.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// When a member goes over from one class to another, by their ranks.
    changes: Vec<(i64, u8, u8)>,
    /// The member that is at work and those around it, each with the end of what it called last.
    open: Vec<(usize, i64)>,
}

impl Sweep {
    /// Sums to the length of `whole`, which begins with the first member's wait and ends with the last member's end.
    /// The members come in walking order.
    pub fn partition(
        &mut self,
        of: &Evidence<'_, '_, '_>,
        members: impl Iterator<Item = usize> + Clone,
        whole: Interval,
        is_retried: bool,
    ) -> ClassTimes {
        if let Some(times) = self.nested(of, members.clone(), whole) {
            return times;
        }
        self.changes.clear();
        for i in members {
            let span = of.trace.times[i];
            let mut doing = ABSENT;
            let mut change = |time, to| self.changes.push((time, std::mem::replace(&mut doing, to), to));
            let enqueued = span.start.saturating_sub(of.spans[i].queue_before.0);
            if enqueued < span.start {
                change(enqueued, RANK[TimeClass::Queue as usize]);
            }
            for segment in &of.segments[of.spans[i].segments.clone()] {
                change(span.start + segment.offset.0, RANK[segment.class as usize]);
            }
            change(span.end, ABSENT);
        }
        self.changes.sort_unstable_by_key(|change| change.0);
        self.sum(whole, if is_retried { TimeClass::Backoff } else { TimeClass::Unattributed })
    }

    /// Most runs are one span that waits for the others, one after the other, which do so in turn: then never do two of
    /// them work at once, and what each does by itself adds up.
    fn nested(
        &mut self,
        of: &Evidence<'_, '_, '_>,
        mut members: impl Iterator<Item = usize>,
        whole: Interval,
    ) -> Option<ClassTimes> {
        let top = members.next()?;
        let span = of.trace.times[top];
        let is_whole =
            whole.end == span.end && whole.start == span.start.saturating_sub(of.spans[top].queue_before.0);
        let mut times = of.spans[top].time;
        times.add(TimeClass::Queue, DurationNs(span.start - whole.start));
        self.open.clear();
        self.open.push((top, span.start));
        for i in members {
            let span = of.trace.times[i];
            while self.open.last()?.0 != of.cover.awaiter(i)? {
                self.open.pop();
            }
            let (around, free_from) = self.open.last_mut()?;
            let fits = *free_from <= span.start && span.end <= of.trace.times[*around].end;
            if !fits || !is_whole || of.spans[i].queue_before.0 > 0 {
                return None;
            }
            *free_from = span.end;
            times.add_all(&of.spans[i].time);
            times.add(TimeClass::Blocked, DurationNs(-(span.end - span.start)));
            self.open.push((i, span.start));
        }
        Some(times)
    }

    fn sum(&self, whole: Interval, gap: TimeClass) -> ClassTimes {
        let mut times = ClassTimes::default();
        // How many members are at each class, and as bits at which there is any.
        let (mut members, mut active) = ([0_i32; CLASSES + 1], 0_u32);
        let mut at = whole.start;
        for &(time, from, to) in &self.changes {
            if time > at {
                let doing = PRECEDENCE.get(active.trailing_zeros() as usize).unwrap_or(&gap);
                times.add(*doing, DurationNs(time - at));
                at = time;
            }
            members[usize::from(to)] += 1;
            active |= 1 << to;
            members[usize::from(from)] -= 1;
            if members[usize::from(from)] == 0 {
                active &= !(1 << from);
            }
        }
        // What is left holds spans without any length.
        times.add(gap, DurationNs(whole.end - at));
        times
    }
}
