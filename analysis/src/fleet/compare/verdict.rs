//! What follows from the figures by the rules: a rule is broken where its figure is worse than tolerated with certainty,
//! kept where it is certainly not, and open in between. Any broken rule rolls back, any open one holds.
//!
//! An improvement of the median with damage in the tail, the quality or the recovery holds too, whatever the rules say.

use plimsoll_schemas::comparison::{Kind, Metric, RolloutRules, Rule, RuledStage, Tolerance};

use super::figure::{Figure, Test};
use super::{Comparison, holm};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Promote,
    Hold,
    Rollback,
}

impl Verdict {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Hold => "hold",
            Self::Rollback => "rollback",
        }
    }

    /// Of the command.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Promote => 0,
            Self::Hold => 10,
            Self::Rollback => 20,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Kept,
    Broken,
    /// More runs would tell.
    Open,
    /// Nothing is known of the metric, and the rule is optional.
    PassedOver,
}

impl Status {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Broken => "broken",
            Self::Open => "open",
            Self::PassedOver => "passed_over",
        }
    }
}

/// One rule on one stage.
#[derive(Debug, Clone)]
pub struct Ruling {
    /// Index of the rule.
    pub rule: usize,
    pub stage: String,
    pub status: Status,
    pub test: Option<Test>,
    /// One-sided, corrected over the stages that the rule is about.
    pub p_adjusted: Option<f64>,
    /// More runs of each side after which it can be decided; `None` where no number is known.
    pub runs_missing: Option<u64>,
    pub reason: String,
}

/// Runs beyond a quantile without which nothing is said of it: 200 runs for a p95, 1,000 for a p99.
const BEYOND_MIN: f64 = 10.0;
/// More runs than anyone waits for.
const MISSING_MAX: f64 = 1e6;

pub(super) fn decide(stages: &[String], figures: Vec<Figure>, rules: &RolloutRules) -> Comparison {
    let tail = (1.0 - rules.confidence) / 2.0;
    let mut rulings = Vec::new();
    for (index, rule) in rules.rules.iter().enumerate() {
        let mut of_rule: Vec<(Ruling, Option<&Figure>)> = ruled(stages, &rule.stage)
            .into_iter()
            .map(|stage| {
                let at = stages.iter().position(|s| *s == stage);
                let figure = figures.iter().find(|f| Some(f.stage) == at && f.metric == rule.metric);
                let test = figure.and_then(|f| f.test(rule.tolerance, tail));
                let open = Ruling {
                    rule: index,
                    stage,
                    status: Status::Open,
                    test,
                    p_adjusted: None,
                    runs_missing: None,
                    reason: String::new(),
                };
                (open, figure)
            })
            .collect();
        correct(&mut of_rule);
        for (mut ruling, figure) in of_rule {
            let ran = figures.iter().any(|f| stages.get(f.stage) == Some(&ruling.stage));
            judge(&mut ruling, figure, ran, rule, rules, tail);
            rulings.push(ruling);
        }
    }
    let mut mixed = mixed(stages, &figures);
    let any = |status: Status| rulings.iter().any(|r| r.status == status);
    if !any(Status::Kept) && !any(Status::Open) && !any(Status::Broken) {
        mixed.push("nothing is known of what the rules are about".to_owned());
    }
    let verdict = if any(Status::Broken) {
        Verdict::Rollback
    } else if any(Status::Open) || !mixed.is_empty() {
        Verdict::Hold
    } else {
        Verdict::Promote
    };
    let decisive = match verdict {
        Verdict::Rollback => Status::Broken,
        Verdict::Hold => Status::Open,
        Verdict::Promote => Status::Kept,
    };
    let mut reasons: Vec<String> =
        rulings.iter().filter(|r| r.status == decisive).map(|r| r.reason.clone()).collect();
    reasons.extend(mixed);
    let open = rulings.iter().filter(|r| r.status == Status::Open && verdict == Verdict::Hold);
    let runs_missing = open.filter_map(|r| r.runs_missing).max();
    Comparison { figures, rulings, verdict, reasons, runs_missing }
}

fn ruled(stages: &[String], stage: &RuledStage) -> Vec<String> {
    match stage {
        RuledStage::Every => stages.to_vec(),
        RuledStage::Named(stage) => vec![stage.clone()],
    }
}

/// Holm's correction over the stages that one rule is about.
fn correct(of_rule: &mut [(Ruling, Option<&Figure>)]) {
    let p: Vec<f64> = of_rule.iter().filter_map(|(r, _)| r.test.map(|t| t.p)).collect();
    let mut adjusted = holm::adjusted(&p).into_iter();
    for (ruling, _) in of_rule.iter_mut().filter(|(r, _)| r.test.is_some()) {
        ruling.p_adjusted = adjusted.next();
    }
}

fn judge(
    ruling: &mut Ruling,
    figure: Option<&Figure>,
    ran: bool,
    rule: &Rule,
    rules: &RolloutRules,
    tail: f64,
) {
    let name = format!("{} of {}", rule.metric.as_str(), ruling.stage);
    let unknown = figure.is_none_or(|f| f.known == [0, 0]);
    let (Some(figure), Some(test), Some(p)) = (figure, ruling.test, ruling.p_adjusted) else {
        ruling.status = if unknown && rule.optional { Status::PassedOver } else { Status::Open };
        // More runs of what nobody reports would tell nothing.
        ruling.runs_missing = (!unknown || !ran).then_some(u64::from(rules.runs_min));
        let problem = match (unknown, ran) {
            (_, false) => "there is no run of it",
            (true, true) => "nothing is known of it",
            (false, true) => "only one side has it",
        };
        ruling.reason = format!("{name}: {problem}");
        return;
    };
    let known = figure.known[0].min(figure.known[1]) as u64;
    let beyond = match rule.metric.kind() {
        Kind::Quantile(q) => (BEYOND_MIN / (1.0 - q)).round() as u64,
        _ => 0,
    };
    let needed = beyond.max(u64::from(rules.runs_min));
    let said = said(figure, rule);
    (ruling.status, ruling.runs_missing, ruling.reason) = if known < needed {
        let missing = needed - known;
        (
            Status::Open,
            Some(missing),
            format!("{name}: {missing} more runs needed, {needed} are the least; {said}"),
        )
    } else if p < tail {
        (Status::Broken, None, format!("{name}: {said}; p = {p:.1e} after correction"))
    } else if test.interval.high <= 0.0 {
        (Status::Kept, None, format!("{name}: {said}"))
    } else {
        let missing = missing(known, &test);
        let more = match missing {
            Some(n) => format!("about {n} more runs needed"),
            None => "it lies at the tolerance, no number of runs is known to decide it".to_owned(),
        };
        (Status::Open, missing, format!("{name}: {more}; {said}"))
    };
}

/// Intervals narrow with the square root of the runs: as many more as bring the end of this one to the tolerance.
fn missing(known: u64, test: &Test) -> Option<u64> {
    let Test { excess, interval, .. } = *test;
    let half = if excess <= 0.0 { interval.high - excess } else { excess - interval.low };
    let needed = known as f64 * (half / excess.abs()).powi(2);
    let missing = (needed - known as f64).ceil().max(1.0);
    (missing <= MISSING_MAX).then_some(missing as u64)
}

/// "25.2 s → 35.4 s, +10.2 s (6.1 s to 15 s), tolerated 10%".
fn said(figure: &Figure, rule: &Rule) -> String {
    let (Some(baseline), Some(candidate), Some(interval)) =
        (figure.baseline, figure.candidate, figure.interval)
    else {
        return String::new();
    };
    let difference = |value: f64| match figure.metric.kind() {
        Kind::Share => format!("{:+.1} points", value * 100.0),
        _ => amount(figure.metric, value),
    };
    let tolerance = match rule.tolerance {
        Tolerance::Absolute(value) => difference(value),
        relative => relative.to_string(),
    };
    let pairs = figure.pairs.map_or(String::new(), |p| {
        format!(", {} of {} tasks gained it, {} lost it", p.candidate_only, p.len(), p.baseline_only)
    });
    format!(
        "{} → {}, difference {} ({} to {}){pairs}, tolerated {tolerance}",
        amount(figure.metric, baseline),
        amount(figure.metric, candidate),
        difference(candidate - baseline),
        difference(interval.low),
        difference(interval.high),
    )
}

fn amount(metric: Metric, value: f64) -> String {
    match metric.kind() {
        Kind::Quantile(_) if value.abs() >= 1e9 => format!("{:.1} s", value / 1e9),
        Kind::Quantile(_) => format!("{:.1} ms", value / 1e6),
        Kind::Share => format!("{:.1} %", value * 100.0),
        Kind::Ratio if metric == Metric::Cost => format!("{value:.4} USD"),
        Kind::Ratio => format!("{value:.3}"),
    }
}

/// Stages whose median improved and where something else was damaged for certain.
fn mixed(stages: &[String], figures: &[Figure]) -> Vec<String> {
    const DAMAGE: [Metric; 6] = [
        Metric::DurationP95,
        Metric::DurationP99,
        Metric::Attainment,
        Metric::Quality,
        Metric::GreenButWrong,
        Metric::Recovery,
    ];
    let medians = figures.iter().filter(|f| f.metric == Metric::DurationP50 && f.is_better());
    medians
        .filter_map(|median| {
            let damaged: Vec<&str> = figures
                .iter()
                .filter(|f| f.stage == median.stage && DAMAGE.contains(&f.metric) && f.is_worse())
                .map(|f| f.metric.as_str())
                .collect();
            let stage = stages.get(median.stage)?;
            (!damaged.is_empty())
                .then(|| format!("the median of {stage} improved, but at the cost of {}", damaged.join(", ")))
        })
        .collect()
}
