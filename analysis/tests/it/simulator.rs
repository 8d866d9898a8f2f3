//! A discrete-event simulator whose truth is known, and what the analyses make of the spans that it emits. Seeded: the same seed
//! gives the same fleet. Times are nanoseconds.

mod account;
mod day;
mod load;
mod queues;
mod storms;

use plimsoll_schemas::Attr;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::testing::{Build, TestSpan, span};

pub const SECOND: i64 = 1_000_000_000;

/// Chance, by a seed.
pub struct Chance(SmallRng);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed))
    }

    /// Above 0, up to 1.
    pub fn share(&mut self) -> f64 {
        1.0 - self.0.random::<f64>()
    }

    /// The time to the next of events that come `rate` times a second, or of a service that takes 1 ÷ `rate` seconds.
    pub fn exponential(&mut self, rate: f64) -> i64 {
        (-self.share().ln() / rate * SECOND as f64) as i64 + 1
    }
}

/// Workers in front of one queue: first come, first served.
pub struct Station {
    free_at: Vec<i64>,
}

impl Station {
    pub fn new(workers: usize) -> Self {
        Self { free_at: vec![0; workers] }
    }

    /// When work that comes at `at` begins and ends. Arrivals must come in order.
    pub fn serve(&mut self, at: i64, length: i64) -> (i64, i64) {
        let (worker, free) =
            self.free_at.iter().copied().enumerate().min_by_key(|(_, free)| *free).expect("a worker");
        let begun = at.max(free);
        self.free_at[worker] = begun + length;
        (begun, begun + length)
    }
}

/// A model server's span, with its own account of what it waited.
pub fn served(n: u64, parent: u64, arrived: i64, begun: i64, ended: i64) -> TestSpan {
    span(n, arrived, ended)
        .child_of(parent)
        .server()
        .on("engine")
        .named("llm_request")
        .stage("inference")
        .with(Attr::TimeInQueue, (begun - arrived) as f64 / SECOND as f64)
        .with(Attr::TimeInModelPrefill, 0.0)
        .with(Attr::TimeInModelDecode, (ended - begun) as f64 / SECOND as f64)
}
