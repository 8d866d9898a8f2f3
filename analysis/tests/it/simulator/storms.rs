//! Storms that the simulator makes: found with their triggers, and the one that feeds itself told apart.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use plimsoll_analysis::fleet::storms::{Kind, Storm};
use plimsoll_schemas::Attr;

use super::account::Account;
use super::{Chance, SECOND, Station};
use crate::testing::{Build, TestSpan, span};

const WINDOW: i64 = 10 * SECOND;
const TIMEOUT: i64 = SECOND;

/// A fleet of clients in front of one database.
struct Fleet {
    seed: u64,
    windows: u32,
    /// Requests a second, by time.
    rate: fn(i64) -> f64,
    /// When the database refuses connections.
    down: fn(i64) -> bool,
    /// Retries in all, as a share of requests, beyond which clients give up. 1 is no budget.
    budget: f64,
}

/// The database: ten workers, ten a second each.
const CAPACITY_PER_WORKER: f64 = 10.0;
const WORKERS: usize = 10;
const ATTEMPTS_MAX: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Try {
    at: i64,
    request: usize,
    ordinal: u32,
}

impl Fleet {
    /// Every request's spans: the agent, its attempts, and the database's account of each.
    fn run(&self) -> Vec<Vec<TestSpan>> {
        let (mut chance, mut station) = (Chance::new(self.seed), Station::new(WORKERS));
        let end = i64::from(self.windows) * WINDOW;
        let (mut due, mut requests, mut now) = (BinaryHeap::new(), Vec::new(), 0);
        while now < end {
            now += chance.exponential((self.rate)(now));
            due.push(Reverse(Try { at: now, request: requests.len(), ordinal: 1 }));
            requests.push(vec![span(1, now, now).on("agent").named("ask").stage("agent")]);
        }
        let (mut first, mut again) = (0.0, 0.0);
        while let Some(Reverse(next)) = due.pop() {
            let Try { at, request, ordinal } = next;
            let spans = &mut requests[request];
            let n = u64::from(ordinal) * 2;
            let attempt = |until: i64| {
                let call = span(n, at, until).child_of(1).client().on("agent").named("query");
                call.with(Attr::PeerService, "db").with(Attr::HttpResendCount, i64::from(ordinal) - 1)
            };
            first += f64::from(u32::from(ordinal == 1));
            let (ended, failed) = if (self.down)(at) {
                spans.push(attempt(at + 1_000_000).with(Attr::ErrorType, "ConnectionRefused").failed());
                (at + 1_000_000, true)
            } else {
                let (begun, done) = station.serve(at, chance.exponential(CAPACITY_PER_WORKER));
                let is_late = done - at > TIMEOUT;
                let until = if is_late { at + TIMEOUT } else { done };
                let call = attempt(until);
                spans.push(if is_late { call.with(Attr::ErrorType, "timeout").failed() } else { call });
                // It is worked on although nobody waits for it any more.
                let seconds = |ns: i64| ns as f64 / SECOND as f64;
                let server = span(n + 1, at, done).child_of(n).server().on("db").named("query");
                spans.push(
                    server
                        .with(Attr::TimeInQueue, seconds(begun - at))
                        .with(Attr::TimeInModelInference, seconds(done - begun)),
                );
                (until, is_late)
            };
            let may = ordinal < ATTEMPTS_MAX && (self.budget >= 1.0 || again < self.budget * first);
            if failed && may {
                again += 1.0;
                due.push(Reverse(Try { at: ended + 50_000_000, request, ordinal: ordinal + 1 }));
                continue;
            }
            let root = &mut spans[0];
            root.duration = plimsoll_schemas::DurationNs(ended - root.start.0);
            if failed {
                root.status = plimsoll_schemas::StatusCode::Error;
            }
        }
        requests
    }

    fn storms(&self) -> Vec<Storm> {
        let mut account = Account::new(0, self.windows);
        self.run().iter().for_each(|spans| account.add(spans));
        account.storms()
    }
}

#[test]
fn an_outage_is_found_with_its_trigger_and_ends_with_it() {
    for seed in 1..=3 {
        let fleet = Fleet {
            seed,
            windows: 30,
            rate: |_| 30.0,
            down: |at| (100 * SECOND..160 * SECOND).contains(&at),
            budget: 1.0,
        };
        let storms = fleet.storms();
        let [storm] = storms.as_slice() else { panic!("seed {seed}: {storms:?}") };
        assert_eq!((storm.start, storm.end, storm.open), (10, 16, false), "seed {seed}");
        assert_eq!(storm.trigger.map(|t| (t.window, t.kind)), Some((10, Kind::Dependency)), "seed {seed}");
        assert!((storm.edges[0].peak_amplification - 3.0).abs() < 0.1, "three attempts a call: {storm:?}");
        assert_eq!(storm.metastable, Some(false), "seed {seed}");
        let lost = storm.goodput_lost.expect("calm windows are known");
        assert!((lost / (60.0 * 30.0) - 1.0).abs() < 0.1, "seed {seed}: {lost}");
    }
}

/// Bronson et al., HotOS 2021: a surge that passes leaves a queue in which everything times out, and its retries keep it full.
#[test]
fn a_surge_whose_retries_sustain_it_is_metastable_and_a_budget_prevents_it() {
    let surge = |seed, budget| Fleet {
        seed,
        windows: 40,
        rate: |at| if (100 * SECOND..130 * SECOND).contains(&at) { 200.0 } else { 60.0 },
        down: |_| false,
        budget,
    };
    for seed in 1..=3 {
        let storms = surge(seed, 1.0).storms();
        let [storm] = storms.as_slice() else { panic!("seed {seed}: {storms:?}") };
        assert_eq!(storm.trigger.map(|t| t.kind), Some(Kind::Overload), "seed {seed}");
        assert!(storm.end > 20, "seed {seed}: it goes on long after the surge: {storm:?}");
        assert_eq!(storm.metastable, Some(true), "seed {seed}");
        let storms = surge(seed, 0.1).storms();
        assert!(storms.iter().all(|s| s.metastable != Some(true)), "seed {seed}: {storms:?}");
    }
}
