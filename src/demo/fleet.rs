//! The fleet: requests arrive by chance, more at some times than at others, and are played one after the other.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::clock::{Nanos, SECOND, minutes};
use super::incident::Incident;
use super::request::Request;
use super::stations::Stations;
use super::story::{Judgement, Story};
use super::world::{TENANTS, Tenant};

/// Busy and quiet hours, at a pace that fits on one screen.
const RIPPLE_PERIOD: Nanos = minutes(20);
const RIPPLE_DEPTH: f64 = 0.25;
/// Requests of which anybody judges the answer.
const JUDGED_SHARE: f64 = 0.85;
/// The judge's delay: some seconds, then however long its own queue is.
const JUDGE_SECONDS_MIN: f64 = 4.0;
const JUDGE_SECONDS_MEAN: f64 = 35.0;
const WRONG_SHARE: f64 = 0.03;
const WRONG_SHARE_CANARY: f64 = 0.42;

#[derive(Debug)]
pub struct Fleet {
    random: SmallRng,
    stations: Stations,
    began: Nanos,
    next: Nanos,
}

impl Fleet {
    pub fn new(seed: u64, began: Nanos) -> Self {
        Self { random: SmallRng::seed_from_u64(seed), stations: Stations::new(), began, next: began }
    }

    /// When the next request arrives.
    pub fn next_arrival(&self) -> Nanos {
        self.next
    }

    /// Plays the next request to its end.
    pub fn play_next(&mut self) -> Story {
        let at = self.next;
        self.next = at + self.gap(at);
        let tenant = self.tenant();
        let incident = Incident::at(at - self.began);
        let mut request = Request::new(&mut self.random, &mut self.stations, tenant, incident);
        let (end, well) = request.play(at);
        let wrong = if request.is_canary() { WRONG_SHARE_CANARY } else { WRONG_SHARE };
        let mut story = request.story;
        story.judgement = self.judge(end, well, wrong);
        story
    }

    /// To the next arrival: exponential, with a rate that rises and falls.
    fn gap(&mut self, at: Nanos) -> Nanos {
        let phase = (at - self.began) as f64 / RIPPLE_PERIOD as f64 * std::f64::consts::TAU;
        let mean: f64 = TENANTS.iter().map(|t| t.rate).sum();
        let rate = mean * (1.0 + RIPPLE_DEPTH * phase.sin());
        let gap = -(1.0 - self.random.random::<f64>()).ln() / rate;
        ((gap * SECOND as f64) as Nanos).max(1)
    }

    fn tenant(&mut self) -> &'static Tenant {
        let total: f64 = TENANTS.iter().map(|t| t.rate).sum();
        let mut lot = self.random.random_range(0.0..total);
        for tenant in &TENANTS {
            lot -= tenant.rate;
            if lot < 0.0 {
                return tenant;
            }
        }
        &TENANTS[TENANTS.len() - 1]
    }

    /// Only answers are judged: a request that failed has none.
    fn judge(&mut self, end: Nanos, well: bool, wrong: f64) -> Option<Judgement> {
        let delay = JUDGE_SECONDS_MIN - JUDGE_SECONDS_MEAN * (1.0 - self.random.random::<f64>()).ln();
        let pass = !self.random.random_bool(wrong);
        let judged = self.random.random_bool(JUDGED_SHARE);
        let score =
            if pass { self.random.random_range(0.72..1.0) } else { self.random.random_range(0.05..0.4) };
        (well && judged).then_some(Judgement {
            at: end + (delay * SECOND as f64) as Nanos,
            pass,
            score: (score * 100.0_f64).round() / 100.0,
            explanation: if pass {
                "answers the question from the sources"
            } else {
                "states what no source says"
            },
        })
    }
}
