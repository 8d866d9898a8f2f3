//! What a candidate is compared with its baseline by, and the rules that say how much worse it may be.

mod rules;

use serde::Deserialize;

pub use rules::{BUILT_IN, RolloutRules, Rule, RuledStage, Tolerance, parse};

/// A figure of a stage's runs. Quality, latency, cost and loops are always shown together: in real data they disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of runs that are good by the stage's objective.
    Attainment,
    /// Share of the judged runs whose verdicts passed.
    Quality,
    /// Share of the judged runs that ended well and in time, and were judged wrong.
    GreenButWrong,
    /// Share of runs whose outcome is not ok.
    Failures,
    /// Share of the runs with more than one attempt that ended well.
    Recovery,
    DurationP50,
    DurationP95,
    DurationP99,
    /// Attempts ÷ logical calls.
    Amplification,
    /// The longest run of one tool called with the same arguments; 1 where none is. Of requests only.
    LoopIndex,
    /// Time in queues ÷ duration, of the runs whose queue is known.
    QueueShare,
    /// Input and output tokens of a run.
    Tokens,
    /// US dollars of a run.
    Cost,
}

/// How a metric comes from its runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Of runs, yes or no.
    Share,
    /// The duration below which this share of runs stays.
    Quantile(f64),
    /// A sum ÷ another sum.
    Ratio,
}

impl Metric {
    pub const ALL: [Self; 13] = [
        Self::Attainment,
        Self::Quality,
        Self::GreenButWrong,
        Self::Failures,
        Self::Recovery,
        Self::DurationP50,
        Self::DurationP95,
        Self::DurationP99,
        Self::Amplification,
        Self::LoopIndex,
        Self::QueueShare,
        Self::Tokens,
        Self::Cost,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attainment => "attainment",
            Self::Quality => "quality",
            Self::GreenButWrong => "green_but_wrong",
            Self::Failures => "failures",
            Self::Recovery => "recovery",
            Self::DurationP50 => "duration_p50",
            Self::DurationP95 => "duration_p95",
            Self::DurationP99 => "duration_p99",
            Self::Amplification => "amplification",
            Self::LoopIndex => "loop_index",
            Self::QueueShare => "queue_share",
            Self::Tokens => "tokens",
            Self::Cost => "cost",
        }
    }

    pub const fn kind(self) -> Kind {
        match self {
            Self::Attainment | Self::Quality | Self::GreenButWrong | Self::Failures | Self::Recovery => {
                Kind::Share
            }
            Self::DurationP50 => Kind::Quantile(0.5),
            Self::DurationP95 => Kind::Quantile(0.95),
            Self::DurationP99 => Kind::Quantile(0.99),
            Self::Amplification | Self::LoopIndex | Self::QueueShare | Self::Tokens | Self::Cost => {
                Kind::Ratio
            }
        }
    }

    pub const fn higher_is_better(self) -> bool {
        matches!(self, Self::Attainment | Self::Quality | Self::Recovery)
    }

    /// In what its values are.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::DurationP50 | Self::DurationP95 | Self::DurationP99 => "ns",
            Self::Tokens => "tokens",
            Self::Cost => "usd",
            _ => "1",
        }
    }
}

/// The stage under which requests as a whole are compared.
pub const REQUEST: &str = "request";
