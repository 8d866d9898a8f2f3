//! A queue with several workers: who comes when all are busy waits for the first gap that is long enough.
//!
//! Requests are simulated one after the other, each from its start to its end, so that later ones may come to
//! a station at earlier times than earlier ones did. Hence a calendar with gaps, not a line.

use super::clock::{Nanos, minutes};

/// Stretches that ended this long before the latest start cannot matter any more.
const MEMORY: Nanos = minutes(10);

#[derive(Debug)]
pub struct Station {
    /// Busy stretches of each worker, by start; they do not overlap.
    workers: Vec<Vec<(Nanos, Nanos)>>,
}

impl Station {
    pub fn new(workers: usize) -> Self {
        Self { workers: vec![Vec::new(); workers] }
    }

    /// When somebody who comes at `at` and needs `length` would be served, and by which worker.
    fn first_gap(&self, at: Nanos, length: Nanos) -> (Nanos, usize) {
        let gap = |busy: &Vec<(Nanos, Nanos)>| {
            let mut start = at;
            for (from, until) in &busy[busy.partition_point(|(_, until)| *until <= at)..] {
                if start + length <= *from {
                    break;
                }
                start = start.max(*until);
            }
            start
        };
        let gaps = self.workers.iter().enumerate().map(|(worker, busy)| (gap(busy), worker));
        gaps.min().unwrap_or((at, 0))
    }

    /// Serves for `length` as soon as possible after `at`, and says when that begins; `None` where it would
    /// have to wait for more than `patience`.
    pub fn serve(&mut self, at: Nanos, length: Nanos, patience: Nanos) -> Option<Nanos> {
        let (start, worker) = self.first_gap(at, length);
        if start - at > patience {
            return None;
        }
        let busy = self.workers.get_mut(worker)?;
        let forgotten = busy.partition_point(|(_, until)| *until < at - MEMORY);
        busy.drain(..forgotten);
        let place = busy.partition_point(|(from, _)| *from < start);
        busy.insert(place, (start, start + length));
        Some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_to_busy_workers_waits_for_the_first_that_is_free() {
        let mut station = Station::new(2);
        let mut serve = |at, length| station.serve(at, length, Nanos::MAX).expect("patient");
        assert_eq!([serve(0, 10), serve(0, 20), serve(5, 10), serve(5, 10)], [0, 0, 10, 20]);
        assert_eq!(serve(100, 5), 100);
        // Simulated later, though it comes earlier: it takes the gap, and moves nobody.
        assert_eq!(serve(40, 5), 40);
    }

    #[test]
    fn who_would_wait_too_long_is_turned_away() {
        let mut station = Station::new(1);
        assert_eq!(station.serve(0, 100, 50), Some(0));
        assert_eq!(station.serve(10, 100, 50), None);
        assert_eq!(station.serve(60, 100, 50), Some(100));
    }
}
