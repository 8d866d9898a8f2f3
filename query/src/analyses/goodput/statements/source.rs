//! What each number of goodput is, over single runs and over cells: the same by both, weighted by how many runs each stands for.

use plimsoll_schemas::Outcome;

use crate::rollup::counted;

/// What the counts are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Runs,
    Cells,
}

/// How many runs each run stands for: one, where no sampler says more.
pub const WEIGHT: &str = "coalesce(adjusted_count, 1)";

/// A sum of weights as a count, which it is an estimate of.
pub fn whole(sum: &str) -> String {
    format!("CAST(round({sum}) AS BIGINT)")
}

impl Source {
    /// What a run, or all of a cell, counts for.
    fn weight(self) -> String {
        match self {
            Self::Runs => WEIGHT.to_owned(),
            Self::Cells => format!("runs * {WEIGHT}"),
        }
    }

    pub fn all(self) -> String {
        format!("sum({})", self.weight())
    }

    /// All of which a condition on their time holds.
    pub fn when(self, condition: &str) -> String {
        format!("coalesce(sum({}) FILTER (WHERE {condition}), 0)", self.weight())
    }

    /// One of a cell's counts.
    pub fn count(self, count: &str) -> String {
        match self {
            Self::Runs => self.when(counted(count)),
            Self::Cells => format!("sum({count} * {WEIGHT})"),
        }
    }

    pub fn count_when(self, count: &str, condition: &str) -> String {
        match self {
            Self::Runs => self.when(&format!("{} AND {condition}", counted(count))),
            Self::Cells => format!("coalesce(sum({count} * {WEIGHT}) FILTER (WHERE {condition}), 0)"),
        }
    }

    pub fn outcome(self, outcome: Outcome) -> String {
        match self {
            Self::Runs => self.when(&format!("outcome = '{}'", outcome.as_str())),
            Self::Cells => self.count(&format!("outcome_{}", outcome.as_str())),
        }
    }

    /// Runs that were seen, each once.
    pub fn seen(self) -> &'static str {
        match self {
            Self::Runs => "count(*)",
            Self::Cells => "sum(runs)",
        }
    }

    /// Of those, the ones that say how they were sampled.
    pub fn seen_sampled(self) -> &'static str {
        match self {
            Self::Runs => "count(adjusted_count)",
            Self::Cells => "coalesce(sum(runs) FILTER (WHERE adjusted_count IS NOT NULL), 0)",
        }
    }

    /// Of those, the ones whose verdicts tell right from wrong among what ended well and in time.
    pub fn seen_judged(self) -> &'static str {
        match self {
            Self::Runs => "count(*) FILTER (WHERE good_low OR green_but_wrong)",
            Self::Cells => "sum(good_low + green_but_wrong)",
        }
    }

    pub fn p99(self) -> &'static str {
        match self {
            Self::Runs => "hdr_quantile(duration_ns, 0.99)",
            Self::Cells => "hdr_quantile(duration_hdr, 0.99)",
        }
    }

    /// Some traces of a kind.
    pub fn sample(self, kind: &str, which: &str) -> String {
        match self {
            Self::Runs => format!("sample_ids(trace_id, duration_ns) FILTER (WHERE {which})"),
            Self::Cells => {
                format!("sample_ids(sample_{kind}, duration_max_ns) FILTER (WHERE sample_{kind} IS NOT NULL)")
            }
        }
    }

    pub fn time(self) -> &'static str {
        match self {
            Self::Runs => "start_unix_nano",
            Self::Cells => "at",
        }
    }
}
