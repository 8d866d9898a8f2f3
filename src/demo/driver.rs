//! Plays the fleet against the clock: the past as fast as it can be sent, the present as it happens.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::clock::{Nanos, SECOND, now};
use super::fleet::Fleet;
use super::telemetry::{Pending, Telemetry, TelemetryError};

/// After so many spans it waits for their acknowledgement, so that no exporter's queue overflows.
const SPANS_BETWEEN_FLUSHES: u64 = 16_384;
/// A load that ends in the past starts no request later than this before its end.
const LAST_REQUEST_BEFORE_END: Nanos = 30 * SECOND;
/// How long it sleeps at most before it looks whether it should stop.
const NAP: Duration = Duration::from_millis(50);

pub struct Driver {
    fleet: Fleet,
    telemetry: Telemetry,
    /// Whether the server keeps up: the past is sent faster than a disk may take it.
    has_room: Box<dyn Fn() -> bool + Send>,
    /// What has begun, by the time at which it will be sent; the number keeps equal times in order.
    pending: BinaryHeap<Reverse<Due>>,
    begun: u64,
}

struct Due {
    at: Nanos,
    order: u64,
    what: Pending,
}

impl Driver {
    pub fn new(fleet: Fleet, telemetry: Telemetry, has_room: Box<dyn Fn() -> bool + Send>) -> Self {
        Self { fleet, telemetry, has_room, pending: BinaryHeap::new(), begun: 0 }
    }

    /// Loads everything up to `end`: requests that began before it to their end, verdicts that were given by then.
    pub fn load_until(&mut self, end: Nanos) -> Result<(), TelemetryError> {
        let mut unacknowledged = self.telemetry.spans;
        while self.fleet.next_arrival() < end - LAST_REQUEST_BEFORE_END {
            self.begin_next()?;
            self.finish_until(self.fleet.next_arrival())?;
            if self.telemetry.spans - unacknowledged >= SPANS_BETWEEN_FLUSHES {
                self.telemetry.flush()?;
                unacknowledged = self.telemetry.spans;
                while !(self.has_room)() {
                    std::thread::sleep(NAP);
                }
            }
        }
        Ok(())
    }

    /// Ends all requests that have begun, and says what was judged before `end`.
    pub fn complete(mut self, end: Nanos) -> Result<(u64, u64), TelemetryError> {
        while let Some(Reverse(due)) = self.pending.pop() {
            if due.at <= end || matches!(due.what, Pending::Span(_)) {
                self.telemetry.finish(due.at, due.what)?;
            }
        }
        self.telemetry.flush()?;
        self.telemetry.shutdown();
        Ok((self.telemetry.spans, self.telemetry.verdicts))
    }

    /// Goes on with the clock until it is told to stop. What is in flight then is never sent, as in life.
    pub fn live(mut self, stop: &AtomicBool) -> Result<(), TelemetryError> {
        while !stop.load(Ordering::Relaxed) {
            let present = now();
            while self.fleet.next_arrival() <= present {
                self.finish_until(self.fleet.next_arrival())?;
                self.begin_next()?;
            }
            self.finish_until(present)?;
            std::thread::sleep(NAP);
        }
        self.telemetry.shutdown();
        Ok(())
    }

    fn begin_next(&mut self) -> Result<(), TelemetryError> {
        let story = self.fleet.play_next();
        for (at, what) in self.telemetry.begin(story)? {
            self.begun += 1;
            self.pending.push(Reverse(Due { at, order: self.begun, what }));
        }
        Ok(())
    }

    fn finish_until(&mut self, until: Nanos) -> Result<(), TelemetryError> {
        while self.pending.peek().is_some_and(|Reverse(due)| due.at <= until) {
            let Some(Reverse(due)) = self.pending.pop() else { break };
            self.telemetry.finish(due.at, due.what)?;
        }
        Ok(())
    }
}

impl Due {
    fn key(&self) -> (Nanos, u64) {
        (self.at, self.order)
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}
