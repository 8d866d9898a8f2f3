//! One metric of one stage on both sides: what it is, how far apart, and whether that is more than was tolerated.

use std::collections::BTreeMap;

use plimsoll_schemas::comparison::{Kind, Metric, Tolerance};

use super::bootstrap::{Resampled, percentile};
use super::interval::{Interval, Pairs, Share, newcombe, newcombe_paired};
use super::units::Stage;
use super::{mcnemar, normal};

#[derive(Debug, Clone)]
pub struct Figure {
    /// Index of the stage.
    pub stage: usize,
    pub metric: Metric,
    /// Of the runs that are known; in pairs, of the tasks.
    pub baseline: Option<f64>,
    pub candidate: Option<f64>,
    /// Of candidate − baseline; `None` where a side is unknown.
    pub interval: Option<Interval>,
    /// Runs (in pairs: tasks) that it is known of, baseline first.
    pub known: [usize; 2],
    /// Runs that there are.
    pub runs: [usize; 2],
    /// Of a share in pairs.
    pub pairs: Option<Pairs>,
    evidence: Evidence,
}

#[derive(Debug, Clone)]
enum Evidence {
    None,
    Independent {
        baseline: Share,
        candidate: Share,
    },
    Paired(Pairs),
    /// `[baseline, candidate]` of each resample.
    Resampled(Vec<[f64; 2]>),
}

/// Whether a figure is worse by more than was tolerated. Positive is worse, and zero is at the tolerance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    pub excess: f64,
    pub interval: Interval,
    /// The chance of such data where it is not worse by more than was tolerated; one-sided.
    pub p: f64,
}

/// Every figure of which anything is known.
pub fn all(
    stages: &[Stage],
    units: [usize; 2],
    resampled: Vec<Resampled>,
    is_paired: bool,
    confidence: f64,
) -> Vec<Figure> {
    let observed: Vec<_> =
        stages.iter().map(|s| [0, 1].map(|side| s.sides[side].observed(units[side]))).collect();
    let mut figures: Vec<Figure> =
        resampled.into_iter().map(|of| of_resampled(stages, &observed, of)).collect();
    for (stage, of) in stages.iter().enumerate() {
        let shares = Metric::ALL.into_iter().filter(|m| m.kind() == Kind::Share);
        figures.extend(shares.map(|metric| of_share(stage, of, metric, is_paired)));
    }
    figures.retain(|f| f.known != [0, 0]);
    figures.sort_by_key(|f| (f.stage, f.metric));
    let tail = (1.0 - confidence) / 2.0;
    for figure in &mut figures {
        figure.interval = figure.evidence.interval(tail);
    }
    figures
}

fn of_resampled(stages: &[Stage], observed: &[[BTreeMap<Metric, f64>; 2]], of: Resampled) -> Figure {
    let sides = &stages[of.stage].sides;
    let [baseline, candidate] = &observed[of.stage];
    Figure {
        stage: of.stage,
        metric: of.metric,
        baseline: baseline.get(&of.metric).copied(),
        candidate: candidate.get(&of.metric).copied(),
        interval: None,
        known: [0, 1].map(|side| sides[side].known(of.metric)),
        runs: [0, 1].map(|side| sides[side].runs),
        pairs: None,
        evidence: if of.values.is_empty() { Evidence::None } else { Evidence::Resampled(of.values) },
    }
}

fn of_share(stage: usize, of: &Stage, metric: Metric, is_paired: bool) -> Figure {
    let [baseline, candidate] = &of.sides;
    let runs = [baseline.runs, candidate.runs];
    if let Some(pairs) = of.pairs(metric).filter(|_| is_paired) {
        return Figure {
            stage,
            metric,
            baseline: Some(pairs.baseline().value()),
            candidate: Some(pairs.candidate().value()),
            interval: None,
            known: [pairs.len() as usize; 2],
            runs,
            pairs: Some(pairs),
            evidence: Evidence::Paired(pairs),
        };
    }
    let evidence = match (baseline.effective(metric), candidate.effective(metric)) {
        (Some(baseline), Some(candidate)) => Evidence::Independent { baseline, candidate },
        _ => Evidence::None,
    };
    Figure {
        stage,
        metric,
        baseline: baseline.share(metric).map(Share::value),
        candidate: candidate.share(metric).map(Share::value),
        interval: None,
        known: [baseline.known(metric), candidate.known(metric)],
        runs,
        pairs: None,
        evidence,
    }
}

impl Evidence {
    /// Of candidate − baseline, with this chance beyond either end.
    fn interval(&self, tail: f64) -> Option<Interval> {
        let z = || normal::quantile(1.0 - tail);
        match self {
            Self::None => None,
            Self::Independent { baseline, candidate } => Some(newcombe(*baseline, *candidate, z())),
            Self::Paired(pairs) => Some(newcombe_paired(*pairs, z())),
            Self::Resampled(values) => Some(between(values.iter().map(|[b, c]| c - b), tail)),
        }
    }
}

fn between(values: impl Iterator<Item = f64>, tail: f64) -> Interval {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    Interval { low: percentile(&sorted, tail), high: percentile(&sorted, 1.0 - tail) }
}

impl Figure {
    /// Candidate − baseline.
    pub fn difference(&self) -> Option<f64> {
        Some(self.candidate? - self.baseline?)
    }

    /// McNemar's exact test, two-sided.
    pub fn mcnemar_p(&self) -> Option<f64> {
        self.pairs.map(|p| mcnemar::two_sided(p.baseline_only, p.candidate_only))
    }

    /// 1 where more is worse, −1 where less is.
    fn sign(&self) -> f64 {
        if self.metric.higher_is_better() { -1.0 } else { 1.0 }
    }

    /// Whether the interval of the difference lies on one side of zero altogether, the worse one.
    pub fn is_worse(&self) -> bool {
        self.interval.is_some_and(|i| if self.metric.higher_is_better() { i.high < 0.0 } else { i.low > 0.0 })
    }

    pub fn is_better(&self) -> bool {
        self.interval.is_some_and(|i| if self.metric.higher_is_better() { i.low > 0.0 } else { i.high < 0.0 })
    }

    /// `tail`: the chance beyond either end of the interval.
    pub fn test(&self, tolerance: Tolerance, tail: f64) -> Option<Test> {
        let sign = self.sign();
        let tolerated = |baseline: f64| match tolerance {
            Tolerance::Absolute(value) => value,
            Tolerance::Relative(share) => share * baseline.abs(),
        };
        let margin = tolerated(self.baseline?);
        let excess = sign * self.difference()? - margin;
        if let Evidence::Resampled(values) = &self.evidence {
            // The baseline of the resample, not of the sample: it is not known exactly either.
            let of = |[b, c]: &[f64; 2]| sign * (c - b) - tolerated(*b);
            let not_worse = values.iter().filter(|v| of(v) <= 0.0).count();
            let p = (1 + not_worse) as f64 / (1 + values.len()) as f64;
            return Some(Test { excess, interval: between(values.iter().map(of), tail), p });
        }
        let worse = |tail: f64| {
            let Interval { low, high } = self.evidence.interval(tail)?;
            let (low, high) = if sign > 0.0 { (low, high) } else { (-high, -low) };
            Some(Interval { low: low - margin, high: high - margin })
        };
        let mut p = if excess > 0.0 {
            // The level at which the interval would just reach the tolerance.
            let z = normal::bisect(0.0, 8.0, |z| worse(1.0 - normal::cdf(z)).is_some_and(|i| i.low > 0.0));
            1.0 - normal::cdf(z)
        } else {
            1.0
        };
        if let Some(pairs) = self.pairs {
            let (worse, better) = if sign > 0.0 {
                (pairs.candidate_only, pairs.baseline_only)
            } else {
                (pairs.baseline_only, pairs.candidate_only)
            };
            // Both must speak.
            p = p.max(mcnemar::one_sided(worse, better));
        }
        Some(Test { excess, interval: worse(tail)?, p })
    }
}
