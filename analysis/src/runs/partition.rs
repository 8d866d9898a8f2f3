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

/// Scratch space, used for one run after another.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// When something of a class begins (+1) or ends (-1), the class by its rank.
    changes: Vec<(i64, i32, u8)>,
}

impl Sweep {
    /// Sums to the length of `whole`, which begins with the first member's wait and ends with the last member's end.
    pub fn partition(
        &mut self,
        of: &Evidence<'_, '_, '_>,
        mut members: impl Iterator<Item = usize>,
        whole: Interval,
        is_retried: bool,
    ) -> ClassTimes {
        let (first, second) = (members.next(), members.next());
        if let (Some(single), None) = (first, second) {
            let mut times = of.partitions[single].time;
            times.add(TimeClass::Queue, DurationNs(of.trace.times[single].start - whole.start));
            return times;
        }
        self.changes.clear();
        for i in first.into_iter().chain(second).chain(members) {
            let span = of.trace.times[i];
            let enqueued = span.start.saturating_sub(of.waits[i].before);
            self.add(TimeClass::Queue, Interval { start: enqueued, end: span.start });
            for segment in &of.partitions[i].segments {
                let from = span.start + segment.offset.0;
                self.add(segment.class, Interval { start: from, end: from + segment.duration.0 });
            }
        }
        self.changes.sort_unstable_by_key(|change| change.0);
        self.sum(whole, if is_retried { TimeClass::Backoff } else { TimeClass::Unattributed })
    }

    fn add(&mut self, class: TimeClass, interval: Interval) {
        if interval.len() > 0 {
            let rank = RANK[class as usize];
            self.changes.push((interval.start, 1, rank));
            self.changes.push((interval.end, -1, rank));
        }
    }

    fn sum(&self, whole: Interval, gap: TimeClass) -> ClassTimes {
        let mut times = ClassTimes::default();
        // How many spans are at each class, and as bits whether any is.
        let (mut active, mut is_active) = ([0_i32; CLASSES], 0_u32);
        let mut at = whole.start;
        for &(time, change, rank) in &self.changes {
            if time > at {
                let doing = PRECEDENCE.get(is_active.trailing_zeros() as usize).unwrap_or(&gap);
                times.add(*doing, DurationNs(time - at));
                at = time;
            }
            let spans = &mut active[usize::from(rank)];
            *spans += change;
            is_active = is_active & !(1 << rank) | u32::from(*spans > 0) << rank;
        }
        // What is left holds spans without any length.
        times.add(gap, DurationNs(whole.end - at));
        times
    }
}
