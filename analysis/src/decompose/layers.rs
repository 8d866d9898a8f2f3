//! Claims on one span's time, laid over each other: what an earlier layer has taken a later one cannot.

use plimsoll_schemas::{DurationNs, TimeClass};

use crate::model::{ClassTimes, Segment};
use crate::trace::Interval;

/// Scratch space, used for one span after another. Every layer is one merge over sorted lists.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    whole: i64,
    /// What nothing claimed so far: disjoint and in order.
    free: Vec<Interval>,
    rest: Vec<Interval>,
    taken: Vec<(Interval, TimeClass)>,
}

impl Layers {
    pub fn begin(&mut self, span: Interval) {
        self.whole = span.start;
        self.free.clear();
        self.taken.clear();
        if span.len() > 0 {
            self.free.push(span);
        }
    }

    /// Gives `class` what is still free of the claims, which are disjoint and in order. Returns how much that was.
    pub fn take(&mut self, class: TimeClass, claims: &[Interval]) -> i64 {
        if claims.is_empty() {
            return 0;
        }
        self.rest.clear();
        let mut taken = 0;
        let mut next = 0;
        for free in &self.free {
            let mut at = free.start;
            while let Some(claim) = claims.get(next).filter(|claim| claim.start < free.end) {
                let got = Interval { start: claim.start.max(at), end: claim.end.min(free.end) };
                if got.len() > 0 {
                    if got.start > at {
                        self.rest.push(Interval { start: at, end: got.start });
                    }
                    self.taken.push((got, class));
                    taken += got.len();
                    at = got.end;
                }
                if claim.end > free.end {
                    break;
                }
                next += 1;
            }
            if at < free.end {
                self.rest.push(Interval { start: at, end: free.end });
            }
        }
        std::mem::swap(&mut self.free, &mut self.rest);
        taken
    }

    /// Gives `class` the first `budget` nanoseconds that are free.
    pub fn take_first(&mut self, class: TimeClass, mut budget: i64) {
        let mut used = 0;
        for free in &mut self.free {
            let got = Interval { start: free.start, end: free.start + free.len().min(budget) };
            if got.len() > 0 {
                self.taken.push((got, class));
            }
            budget -= got.len();
            free.start = got.end;
            if free.len() > 0 {
                break;
            }
            used += 1;
        }
        self.free.drain(..used);
    }

    /// The partition, the remainder being of class `residual`.
    pub fn finish(&mut self, residual: TimeClass) -> (Vec<Segment>, ClassTimes) {
        self.taken.extend(self.free.drain(..).map(|free| (free, residual)));
        self.taken.sort_unstable_by_key(|(interval, _)| interval.start);
        self.taken.dedup_by(|next, last| {
            let continues = next.1 == last.1;
            if continues {
                last.0.end = next.0.end;
            }
            continues
        });
        let mut times = ClassTimes::default();
        let segments = self
            .taken
            .iter()
            .map(|(interval, class)| {
                let duration = DurationNs(interval.len());
                times.add(*class, duration);
                Segment { class: *class, offset: DurationNs(interval.start - self.whole), duration }
            })
            .collect();
        (segments, times)
    }
}
