//! The statements behind goodput: over cells where a rollup covers the range, else over single runs. What is counted is
//! listed once for both.

use plimsoll_schemas::Outcome;
use plimsoll_schemas::objective::{Judging, Objective};

use super::super::judged::runs_sql;
use super::super::{Analysis, GROUPS_MAX, share};
use crate::error::QueryError;
use crate::filter::{self, Over};
use crate::rollup::coverage::{Cover, Coverage, Digest, digest};
use crate::rollup::minutes::{HOUR_NS, MINUTE_NS};
use crate::rollup::{counted, relation, sampled};

/// Windows over which the burn of the error budget is stated, up to the end of the range.
const BURN_WINDOWS: [(&str, i64); 5] = [
    ("5m", 5 * MINUTE_NS),
    ("30m", 30 * MINUTE_NS),
    ("1h", HOUR_NS),
    ("6h", 6 * HOUR_NS),
    ("3d", 72 * HOUR_NS),
];
/// Days are read only where a day's part is asked about: a screen of the last hour need not scan three of them.
const LONG_WINDOW_NS: i64 = 24 * HOUR_NS;
const LONG_FROM_RANGE_NS: i64 = 6 * HOUR_NS;
/// Shorter ranges are read from single runs, whose samples are better; from here on the points of a series begin on
/// multiples of their step, as minutes and hours do.
const ROLLED_FROM_RANGE_NS: i64 = 2 * HOUR_NS;

/// See the module's description.
#[derive(Debug)]
pub struct Statements<'a> {
    objectives: &'a [Objective],
    asked: &'a Analysis,
    coverage: Option<&'a Coverage>,
}

/// What the counts are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Runs,
    Cells,
}

impl Source {
    fn table(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Cells => "cells",
        }
    }

    fn all(self) -> &'static str {
        match self {
            Self::Runs => "count(*)",
            Self::Cells => "sum(runs)",
        }
    }

    /// All of which a condition on their time holds.
    fn when(self, condition: &str) -> String {
        match self {
            Self::Runs => format!("count(*) FILTER (WHERE {condition})"),
            Self::Cells => format!("coalesce(sum(runs) FILTER (WHERE {condition}), 0)"),
        }
    }

    /// One of a cell's counts.
    fn count(self, count: &str) -> String {
        match self {
            Self::Runs => format!("count(*) FILTER (WHERE {})", counted(count)),
            Self::Cells => format!("sum({count})"),
        }
    }

    fn count_when(self, count: &str, condition: &str) -> String {
        match self {
            Self::Runs => format!("count(*) FILTER (WHERE {} AND {condition})", counted(count)),
            Self::Cells => format!("coalesce(sum({count}) FILTER (WHERE {condition}), 0)"),
        }
    }

    fn outcome(self, outcome: Outcome) -> String {
        match self {
            Self::Runs => format!("count(*) FILTER (WHERE outcome = '{}')", outcome.as_str()),
            Self::Cells => format!("sum(outcome_{})", outcome.as_str()),
        }
    }

    fn p99(self) -> &'static str {
        match self {
            Self::Runs => "hdr_quantile(duration_ns, 0.99)",
            Self::Cells => "hdr_quantile(duration_hdr, 0.99)",
        }
    }

    /// Some traces of a kind.
    fn sample(self, kind: &str, which: &str) -> String {
        match self {
            Self::Runs => format!("sample_ids(trace_id, duration_ns) FILTER (WHERE {which})"),
            Self::Cells => {
                format!("sample_ids(sample_{kind}, duration_max_ns) FILTER (WHERE sample_{kind} IS NOT NULL)")
            }
        }
    }

    fn time(self) -> &'static str {
        match self {
            Self::Runs => "start_unix_nano",
            Self::Cells => "at",
        }
    }
}

impl<'a> Statements<'a> {
    pub fn new(objectives: &'a [Objective], asked: &'a Analysis, coverage: Option<&'a Coverage>) -> Self {
        Self { objectives, asked, coverage }
    }

    /// The statement behind the rows.
    pub fn groups(&self) -> Result<String, QueryError> {
        let (with, from) = self.over_range(true)?;
        let outcomes: String = Outcome::ALL
            .iter()
            .map(|o| format!(", {} AS outcome_{}", from.outcome(*o), o.as_str()))
            .collect();
        let samples: String = sampled()
            .map(|(kind, which)| format!(",\n  {} AS sample_{kind}", from.sample(kind, which)))
            .collect();
        let (offered, good_low, good_high) = (from.all(), from.count("good_low"), from.count("good_high"));
        let (judged, wrong) = (from.count("judged"), from.count("green_but_wrong"));
        let counts = format!(
            "{offered} AS offered, {good_low} AS good_low, {good_high} AS good_high, {judged} AS judged,
  {unjudged} AS unjudged, {judged_share} AS judged_share,
  {low} AS attainment_low, {high} AS attainment_high,
  {late} AS late, {offered} - {ok} AS failed,
  {wrong} AS green_but_wrong, {wrong_share} AS green_but_wrong_share{outcomes},
  {p99} AS p99_ns{samples}",
            unjudged = from.count("unjudged"),
            judged_share = share(&judged, offered),
            low = share(&good_low, offered),
            high = share(&good_high, offered),
            late = from.count("late"),
            ok = from.outcome(Outcome::Ok),
            wrong_share = share(&wrong, &judged),
            p99 = from.p99(),
        );
        let limit = GROUPS_MAX * self.objectives.len().max(1);
        Ok(format!(
            "SELECT *{}\nFROM (\n{}\n)\nORDER BY ordinal, offered DESC\nLIMIT {limit}",
            self.estimate(),
            self.grouped(&with, from, &counts, "", "")
        ))
    }

    /// For objectives of which a sample is judged: the share of all that ended well and in time, times the share of those judged
    /// among them that was right, with Wilson's interval of 95 % (*JASA* 22, 1927). Null for the others, and where nothing is judged.
    fn estimate(&self) -> String {
        let sampled = self.objectives.iter().enumerate().filter(|(_, o)| o.judging != Judging::All);
        let sampled: Vec<String> = sampled.map(|(ordinal, _)| ordinal.to_string()).collect();
        let names = ["attainment_estimate", "attainment_estimate_low", "attainment_estimate_high"];
        if sampled.is_empty() {
            return names.map(|name| format!(",\n  CAST(NULL AS DOUBLE) AS {name}")).concat();
        }
        let n = "CAST(good_low + green_but_wrong AS DOUBLE)";
        let p = format!("(good_low / {n})");
        let z = 1.959_963_984_540_054_f64;
        let centre = format!("({p} + {} / {n})", z * z / 2.0);
        let half = format!("{z} * sqrt({p} * (1 - {p}) / {n} + {} / ({n} * {n}))", z * z / 4.0);
        let scale = format!("(1 + {} / {n})", z * z);
        let ended_well = "(offered - failed - late) / CAST(offered AS DOUBLE)";
        let when = format!("ordinal IN ({}) AND good_low + green_but_wrong > 0", sampled.join(", "));
        let shares = [p, format!("({centre} - {half}) / {scale}"), format!("({centre} + {half}) / {scale}")];
        let columns = names.iter().zip(shares);
        columns
            .map(|(name, share)| format!(",\n  CASE WHEN {when} THEN {ended_well} * {share} END AS {name}"))
            .collect()
    }

    pub fn series(&self) -> Result<String, QueryError> {
        let (with, from) = self.over_range(self.asked.step.0 % HOUR_NS == 0)?;
        let counts = format!(
            "{point} AS point, {} AS offered, {} AS good_low, {} AS good_high,
  {} AS unjudged, {} AS green_but_wrong",
            from.all(),
            from.count("good_low"),
            from.count("good_high"),
            from.count("unjudged"),
            from.count("green_but_wrong"),
            point = self.point(from.time()),
        );
        Ok(self.grouped(&with, from, &counts, ", point", "ORDER BY point"))
    }

    /// burn(w) = (1 − attainment over w) ÷ (1 − target), as the SRE workbook has it.
    pub fn burn(&self) -> Result<String, QueryError> {
        let end = self.asked.range.end.0;
        let windows = burn_windows(self.asked);
        let mut bounds: Vec<i64> = windows.iter().map(|(_, ns)| end - ns).chain([end]).collect();
        bounds.sort_unstable();
        let cases: String = bounds
            .iter()
            .rev()
            .skip(1)
            .map(|bound| format!(" WHEN start_unix_nano >= {bound} THEN {bound}"))
            .collect();
        // No cell may lie across the beginning of a window.
        let (with, from) = self.over(&bounds, true, &format!("CASE{cases} END"))?;
        let windows: Vec<String> = windows
            .iter()
            .map(|(name, ns)| {
                let within = format!("{} >= {}", from.time(), end - ns);
                let attainment = share(&from.count_when("good_high", &within), &from.when(&within));
                format!("(1 - {attainment}) / (1 - target) AS \"{name}\"")
            })
            .collect();
        Ok(self.grouped(&with, from, &windows.join(",\n  "), "", ""))
    }

    /// A request is good only if every stage of it is: by all objectives that speak of any of its runs.
    pub fn requests(&self) -> Result<Option<String>, QueryError> {
        let Some(runs) = runs_sql(self.objectives, self.asked, self.asked.range.start.0)? else {
            return Ok(None);
        };
        Ok(Some(format!(
            "{runs}
SELECT count(*) AS offered, count(*) FILTER (WHERE good_low) AS good_low, count(*) FILTER (WHERE good_high) AS good_high
FROM (SELECT bool_and(good_low) AS good_low, bool_and(good_high) AS good_high FROM runs GROUP BY tenant, trace_id)"
        )))
    }

    /// Of requests that did not end well, the stage whose run was the first that ended badly.
    pub fn first_failing(&self) -> String {
        let terms = filter::sql(&self.asked.filter, Over::Traces).unwrap_or_default();
        format!(
            "SELECT stage, count(*) AS requests, sample_ids(trace_id, duration_ns) AS sample_trace_ids
FROM (
  SELECT r.trace_id, t.duration_ns, first_value(r.stage ORDER BY r.start_unix_nano + r.duration_ns, r.start_unix_nano DESC) AS stage
  FROM stage_runs r JOIN (SELECT * FROM traces WHERE outcome <> 'ok' AND {within}{terms}) t ON r.tenant = t.tenant AND r.trace_id = t.trace_id
  WHERE r.outcome <> 'ok'
  GROUP BY r.tenant, r.trace_id, t.duration_ns
)
GROUP BY stage ORDER BY requests DESC, stage",
            within = self.asked.within("start_unix_nano"),
        )
    }

    /// Whether the points of a series begin on multiples of their step.
    fn is_aligned(&self) -> bool {
        self.asked.range.length().0 >= ROLLED_FROM_RANGE_NS && self.asked.step.0 % MINUTE_NS == 0
    }

    /// The start of the point in which a time lies.
    fn point(&self, column: &str) -> String {
        let (start, step) = (self.asked.range.start.0, self.asked.step.0);
        if self.is_aligned() {
            return format!("greatest({column} / {step} * {step}, {start})");
        }
        self.asked.point(column)
    }

    fn over_range(&self, by_hour: bool) -> Result<(String, Source), QueryError> {
        let bounds = [self.asked.range.start.0, self.asked.range.end.0];
        if self.is_aligned() {
            return self.over(&bounds, by_hour, &self.point("start_unix_nano"));
        }
        Ok((self.runs(bounds[0])?, Source::Runs))
    }

    /// Common table expressions of what runs count between the first bound and the last; `at` keeps single runs apart.
    fn over(&self, bounds: &[i64], by_hour: bool, at: &str) -> Result<(String, Source), QueryError> {
        let Some(coverage) = self.coverage else { return Ok((self.runs(bounds[0])?, Source::Runs)) };
        let mut digests: Vec<Digest> = self.objectives.iter().map(digest).collect();
        digests.sort_unstable();
        digests.dedup();
        let parts = bounds.windows(2).map(|part| coverage.cover(&digests, part[0], part[1], by_hour));
        let all = parts.reduce(|all, part| Cover {
            hours: all.hours.union(&part.hours),
            minutes: all.minutes.union(&part.minutes),
            runs: [all.runs, part.runs].concat(),
        });
        match all.filter(Cover::is_rolled) {
            Some(cover) => Ok((relation::cells_sql(self.objectives, self.asked, &cover, at)?, Source::Cells)),
            None => Ok((self.runs(bounds[0])?, Source::Runs)),
        }
    }

    fn runs(&self, from_unix_nano: i64) -> Result<String, QueryError> {
        runs_sql(self.objectives, self.asked, from_unix_nano)?
            .ok_or_else(|| QueryError::NotFound("there is no objective".into()))
    }

    /// `what` of each objective's runs, by the grouping columns.
    fn grouped(&self, with: &str, from: Source, what: &str, also_by: &str, end: &str) -> String {
        let keys = self.asked.keys();
        let by: String = self.asked.by.iter().map(|k| format!(", {}", k.column())).collect();
        format!(
            "{with}
SELECT ordinal, objective, for_stage, target, {keys}{what}
FROM {}
GROUP BY ordinal, objective, for_stage, target{by}{also_by}
{end}",
            from.table()
        )
    }
}

pub fn burn_windows(asked: &Analysis) -> Vec<(&'static str, i64)> {
    let is_long = asked.range.length().0 >= LONG_FROM_RANGE_NS;
    BURN_WINDOWS.into_iter().filter(|(_, ns)| is_long || *ns < LONG_WINDOW_NS).collect()
}
