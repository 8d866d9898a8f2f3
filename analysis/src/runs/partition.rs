//! Where a run's time went: a partition of its duration over all of its spans.
//!
//! Spans of one run overlap: a parent is blocked by a child of the same stage, branches run side by side.
//! A nanosecond in which any of them works is work; waiting counts where nothing works, and `blocked` is left where
//! only other stages' runs go on. Between attempts nothing of the run goes on: that is backoff.

use plimsoll_schemas::{DurationNs, TimeClass};

use super::Evidence;
use crate::model::ClassTimes;
use crate::trace::Interval;

/// What the run is doing while several of its spans do different things: the first of these.
const PRECEDENCE: [TimeClass; TimeClass::ALL.len()] = [
    TimeClass::Compute,
    TimeClass::Load,
    TimeClass::Transit,
    TimeClass::Queue,
    TimeClass::Backoff,
    TimeClass::Unattributed,
    TimeClass::Blocked,
];

/// Scratch space, used for one run after another.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// When something of a class begins (+1) or ends (-1).
    changes: Vec<(i64, i32, TimeClass)>,
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
        self.changes.sort_unstable();
        self.sum(whole, if is_retried { TimeClass::Backoff } else { TimeClass::Unattributed })
    }

    fn add(&mut self, class: TimeClass, interval: Interval) {
        if interval.len() > 0 {
            self.changes.push((interval.start, 1, class));
            self.changes.push((interval.end, -1, class));
        }
    }

    fn sum(&self, whole: Interval, gap: TimeClass) -> ClassTimes {
        let mut times = ClassTimes::default();
        let mut active = [0_i32; TimeClass::ALL.len()];
        let mut at = whole.start;
        for &(time, change, class) in &self.changes {
            if time > at {
                let doing = PRECEDENCE.into_iter().find(|c| active[*c as usize] > 0).unwrap_or(gap);
                times.add(doing, DurationNs(time - at));
                at = time;
            }
            active[class as usize] += change;
        }
        // What is left holds spans without any length.
        times.add(gap, DurationNs(whole.end - at));
        times
    }
}
