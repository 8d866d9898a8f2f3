//! A candidate against its baseline, stage by stage, with certainty: two slices in one window, or one slice before and
//! after. Where both sides were given the same tasks they are compared in pairs, else as independent samples.
//!
//! Shares are compared by Newcombe's intervals ([`interval`]) and, in pairs, by McNemar's exact test ([`mcnemar`]);
//! quantiles and ratios by resampling whole traces ([`bootstrap`]); stages together under Holm's correction ([`holm`]).
//! What follows from it is in [`verdict`].

pub mod bootstrap;
pub mod figure;
pub mod holm;
pub mod interval;
pub mod mcnemar;
pub mod normal;
mod units;
pub mod verdict;

use plimsoll_schemas::DurationNs;
use plimsoll_schemas::comparison::{Metric, RolloutRules};

pub use figure::{Figure, Test};
pub use interval::{Interval, Pairs};
pub use verdict::{Ruling, Status, Verdict};

/// What is known of one run. `None` is unknown, never zero.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Run {
    /// Index of its trace among its side's.
    pub trace: u32,
    /// Index of its stage.
    pub stage: u32,
    pub duration: DurationNs,
    /// By the objective of its stage, unjudged counted as good; `None` without an objective.
    pub is_good: Option<bool>,
    /// Whether its outcome is ok.
    pub is_ok: bool,
    /// Whether its verdicts passed.
    pub passed: Option<bool>,
    /// It ended well and in time, and was judged wrong; known of judged runs.
    pub green_but_wrong: Option<bool>,
    pub attempts: u32,
    /// Of a stage's run one.
    pub logical_calls: u32,
    /// The longest run of one tool with the same arguments; of requests only.
    pub longest_repeat: Option<u32>,
    pub queue: Option<DurationNs>,
    pub tokens: Option<i64>,
    pub cost_usd: Option<f64>,
}

impl Run {
    /// Of a share: whether the run counts for it; `None` where it does not count at all.
    fn hit(&self, metric: Metric) -> Option<bool> {
        match metric {
            Metric::Attainment => self.is_good,
            Metric::Quality => self.passed,
            Metric::GreenButWrong => self.green_but_wrong,
            Metric::Failures => Some(!self.is_ok),
            Metric::Recovery => (self.attempts > self.logical_calls).then_some(self.is_ok),
            _ => None,
        }
    }

    /// Of a ratio: what the run adds above and below.
    fn parts(&self, metric: Metric) -> Option<(f64, f64)> {
        match metric {
            Metric::Amplification => Some((f64::from(self.attempts), f64::from(self.logical_calls)))
                .filter(|(_, calls)| *calls > 0.0),
            Metric::LoopIndex => self.longest_repeat.map(|n| (f64::from(n), 1.0)),
            Metric::QueueShare => self.queue.map(|q| (q.0 as f64, self.duration.0 as f64)),
            Metric::Tokens => self.tokens.map(|n| (n as f64, 1.0)),
            Metric::Cost => self.cost_usd.map(|usd| (usd, 1.0)),
            _ => None,
        }
    }
}

/// The runs of one side.
#[derive(Debug, Clone, Default)]
pub struct Side {
    pub traces: u32,
    pub runs: Vec<Run>,
}

#[derive(Debug, Clone, Copy)]
pub struct Experiment<'a> {
    /// Names of the stages that runs point to.
    pub stages: &'a [String],
    pub baseline: &'a Side,
    pub candidate: &'a Side,
    /// Traces of both sides that were given the same task, each in one pair at most.
    pub pairs: Option<&'a [(u32, u32)]>,
}

#[derive(Debug, Clone)]
pub struct Comparison {
    /// Every metric of every stage of which any run is known, in the order of the stages.
    pub figures: Vec<Figure>,
    /// One per rule and stage that it applies to.
    pub rulings: Vec<Ruling>,
    pub verdict: Verdict,
    /// Why, for people: the rulings that decided, or what else did.
    pub reasons: Vec<String>,
    /// Of a hold: more runs of each side after which every rule can be decided, if the difference stays what it is.
    pub runs_missing: Option<u64>,
}

pub fn compare(experiment: &Experiment<'_>, rules: &RolloutRules) -> Comparison {
    let (stages, counts) = units::of(experiment);
    let resampled = bootstrap::resample(&stages, counts, experiment.pairs.is_some());
    let figures = figure::all(&stages, counts, resampled, experiment.pairs.is_some(), rules.confidence);
    verdict::decide(experiment.stages, figures, rules)
}
