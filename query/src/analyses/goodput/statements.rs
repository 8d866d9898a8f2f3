//! The statements behind goodput: over cells where a rollup covers the range, else over single runs. What is counted is
//! listed once for both.

use plimsoll_schemas::Outcome;
use plimsoll_schemas::objective::{Judging, Objective};

use super::super::judged::runs_within_sql;
use super::super::{Analysis, GROUPS_MAX, share};
use crate::error::QueryError;
use crate::filter::{self, Over};
use crate::rollup::coverage::{Cover, Coverage, Digest, digest, within};
use crate::rollup::minutes::{HOUR_NS, MINUTE_NS};
use crate::rollup::relation::{self, Held};
use crate::rollup::{counted, sampled};

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

/// Longer ranges are read once for each statement: a month of hours is a few hundred thousand cells.
const HELD_MAX_NS: i64 = 31 * 24 * HOUR_NS;

/// See the module's description.
#[derive(Debug)]
pub struct Statements<'a> {
    objectives: &'a [Objective],
    asked: &'a Analysis,
    /// Whether any verdict has to be looked for.
    has_verdicts: bool,
    rolled: Option<Rolled>,
}

/// From where the range and the windows before its end are read. Apart, since a window begins within an hour: of that hour's
/// minutes its counts are enough, where the range would be read with all that they hold.
#[derive(Debug)]
struct Rolled {
    by_hour: Cover,
    by_minute: Cover,
    windows: Cover,
    /// Single runs, read once for all of them.
    runs: Vec<(i64, i64)>,
    /// Instants across which single runs are not counted together.
    bounds: Vec<i64>,
}

/// One statement, as it can be run by anybody, and as it is run where single runs were read before.
#[derive(Debug)]
pub struct Statement {
    pub shown: String,
    pub read: String,
}

/// What the counts are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Runs,
    Cells,
}

/// How many runs each run stands for: one, where no sampler says more.
const WEIGHT: &str = "coalesce(adjusted_count, 1)";

/// A sum of weights as a count, which it is an estimate of.
fn whole(sum: &str) -> String {
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

    fn all(self) -> String {
        format!("sum({})", self.weight())
    }

    /// All of which a condition on their time holds.
    fn when(self, condition: &str) -> String {
        format!("coalesce(sum({}) FILTER (WHERE {condition}), 0)", self.weight())
    }

    /// One of a cell's counts.
    fn count(self, count: &str) -> String {
        match self {
            Self::Runs => self.when(counted(count)),
            Self::Cells => format!("sum({count} * {WEIGHT})"),
        }
    }

    fn count_when(self, count: &str, condition: &str) -> String {
        match self {
            Self::Runs => self.when(&format!("{} AND {condition}", counted(count))),
            Self::Cells => format!("coalesce(sum({count} * {WEIGHT}) FILTER (WHERE {condition}), 0)"),
        }
    }

    fn outcome(self, outcome: Outcome) -> String {
        match self {
            Self::Runs => self.when(&format!("outcome = '{}'", outcome.as_str())),
            Self::Cells => self.count(&format!("outcome_{}", outcome.as_str())),
        }
    }

    /// Runs that were seen, each once.
    fn seen(self) -> &'static str {
        match self {
            Self::Runs => "count(*)",
            Self::Cells => "sum(runs)",
        }
    }

    /// Of those, the ones that say how they were sampled.
    fn seen_sampled(self) -> &'static str {
        match self {
            Self::Runs => "count(adjusted_count)",
            Self::Cells => "coalesce(sum(runs) FILTER (WHERE adjusted_count IS NOT NULL), 0)",
        }
    }

    /// Of those, the ones whose verdicts tell right from wrong among what ended well and in time.
    fn seen_judged(self) -> &'static str {
        match self {
            Self::Runs => "count(*) FILTER (WHERE good_low OR green_but_wrong)",
            Self::Cells => "sum(good_low + green_but_wrong)",
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
    pub fn new(
        objectives: &'a [Objective],
        asked: &'a Analysis,
        coverage: Option<&'a Coverage>,
        has_verdicts: bool,
    ) -> Self {
        let rolled = coverage.and_then(|coverage| Rolled::new(objectives, asked, coverage));
        Self { objectives, asked, has_verdicts, rolled }
    }

    /// The statements that fill the tables from which the others read, by the tables' names; none where the others read
    /// runs themselves.
    pub fn held(&self) -> Result<Vec<(&'static str, String)>, QueryError> {
        let Some(rolled) = &self.rolled else { return Ok(Vec::new()) };
        let (objectives, asked) = (self.objectives, self.asked);
        let at = self.at(rolled);
        let singles = relation::singles_sql(objectives, asked, &rolled.runs, &at, self.has_verdicts)?;
        let mut held: Vec<_> = singles.map(|sql| (relation::SINGLES, sql)).into_iter().collect();
        for (cover, table) in [(&rolled.by_hour, Held::Range), (&rolled.windows, Held::Windows)] {
            if rolled.holds(table) && (table == Held::Windows || self.is_aligned()) {
                held.push((table.name(), relation::held_sql(objectives, asked, cover, table)?));
            }
        }
        Ok(held)
    }

    /// The statement behind the rows.
    pub fn groups(&self) -> Result<Statement, QueryError> {
        let limit = GROUPS_MAX * self.objectives.len().max(1);
        let counted = self.over_range(true, "", "", |from| {
            let outcomes = Outcome::ALL
                .iter()
                .map(|o| format!(", {} AS outcome_{}", whole(&from.outcome(*o)), o.as_str()));
            let samples =
                sampled().map(|(kind, which)| format!(",\n  {} AS sample_{kind}", from.sample(kind, which)));
            let (offered, good_low, good_high) =
                (from.all(), from.count("good_low"), from.count("good_high"));
            let (judged, wrong) = (from.count("judged"), from.count("green_but_wrong"));
            format!(
                "{} AS offered, {} AS good_low, {} AS good_high, {} AS judged,
  {} AS unjudged, {judged_share} AS judged_share,
  {low} AS attainment_low, {high} AS attainment_high,
  {} AS late, {} AS failed,
  {} AS green_but_wrong, {wrong_share} AS green_but_wrong_share{outcomes},
  {seen} AS runs, {sampled} AS sampling_known_share, {seen_judged} AS runs_judged,
  {p99} AS p99_ns{samples}",
                whole(&offered),
                whole(&good_low),
                whole(&good_high),
                whole(&judged),
                whole(&from.count("unjudged")),
                whole(&from.count("late")),
                whole(&format!("{offered} - {}", from.outcome(Outcome::Ok))),
                whole(&wrong),
                judged_share = share(&judged, &offered),
                low = share(&good_low, &offered),
                high = share(&good_high, &offered),
                wrong_share = share(&wrong, &judged),
                seen = from.seen(),
                sampled = share(from.seen_sampled(), from.seen()),
                seen_judged = from.seen_judged(),
                p99 = from.p99(),
                outcomes = outcomes.collect::<String>(),
                samples = samples.collect::<String>(),
            )
        })?;
        let estimate = self.estimate();
        let with_estimate = |counts: String| {
            format!("SELECT *{estimate}\nFROM (\n{counts})\nORDER BY ordinal, offered DESC\nLIMIT {limit}")
        };
        Ok(Statement { shown: with_estimate(counted.shown), read: with_estimate(counted.read) })
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
        // As sure as what was seen makes it, however much that stands for.
        let n = "CAST(runs_judged AS DOUBLE)";
        let p = "(CAST(good_low AS DOUBLE) / (good_low + green_but_wrong))".to_owned();
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

    pub fn series(&self) -> Result<Statement, QueryError> {
        self.over_range(self.asked.step.0 % HOUR_NS == 0, ", point", "ORDER BY point", |from| {
            format!(
                "{point} AS point, {} AS offered, {} AS good_low, {} AS good_high,
  {} AS unjudged, {} AS green_but_wrong",
                whole(&from.all()),
                whole(&from.count("good_low")),
                whole(&from.count("good_high")),
                whole(&from.count("unjudged")),
                whole(&from.count("green_but_wrong")),
                point = self.point(from.time()),
            )
        })
    }

    /// burn(w) = (1 − attainment over w) ÷ (1 − target), as the SRE workbook has it.
    pub fn burn(&self) -> Result<Statement, QueryError> {
        let end = self.asked.range.end.0;
        let cover = self.rolled.as_ref().map(|rolled| (&rolled.windows, Some(Held::Windows)));
        self.over(cover, end - longest(self.asked), "", "", |from| {
            let windows = burn_windows(self.asked).into_iter().map(|(name, ns)| {
                let within = format!("{} >= {}", from.time(), end - ns);
                let attainment = share(&from.count_when("good_high", &within), &from.when(&within));
                format!("(1 - {attainment}) / (1 - target) AS \"{name}\"")
            });
            windows.collect::<Vec<_>>().join(",\n  ")
        })
    }

    /// A request is good only if every stage of it is: by all objectives that speak of any of its runs.
    pub fn requests(&self) -> Result<Option<String>, QueryError> {
        let Some(runs) = self.runs(self.asked.range.start.0, self.has_verdicts)? else {
            return Ok(None);
        };
        Ok(Some(format!(
            "{runs}
SELECT {} AS offered, {} AS good_low, {} AS good_high
FROM (SELECT bool_and(good_low) AS good_low, bool_and(good_high) AS good_high, max({WEIGHT}) AS weight FROM runs GROUP BY tenant, trace_id)",
            whole("sum(weight)"),
            whole("coalesce(sum(weight) FILTER (WHERE good_low), 0)"),
            whole("coalesce(sum(weight) FILTER (WHERE good_high), 0)"),
        )))
    }

    /// Of requests that did not end well, the stage whose run was the first that ended badly.
    pub fn first_failing(&self) -> String {
        let terms = filter::sql(&self.asked.filter, Over::Traces).unwrap_or_default();
        format!(
            "SELECT stage, {requests} AS requests, sample_ids(trace_id, duration_ns) AS sample_trace_ids
FROM (
  SELECT r.trace_id, t.duration_ns, t.adjusted_count, first_value(r.stage ORDER BY r.start_unix_nano + r.duration_ns, r.start_unix_nano DESC) AS stage
  FROM stage_runs r JOIN (SELECT * FROM traces WHERE outcome <> 'ok' AND {within}{terms}) t ON r.tenant = t.tenant AND r.trace_id = t.trace_id
  WHERE r.outcome <> 'ok'
  GROUP BY r.tenant, r.trace_id, t.duration_ns, t.adjusted_count
)
GROUP BY stage ORDER BY requests DESC, stage",
            requests = whole(&format!("sum({WEIGHT})")),
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

    /// The instant by which single runs are counted together: the last bound or point before them.
    fn at(&self, rolled: &Rolled) -> String {
        let cases: String = rolled
            .bounds
            .iter()
            .rev()
            .map(|bound| format!(" WHEN start_unix_nano >= {bound} THEN {bound}"))
            .collect();
        let bound = format!("CASE{cases} END");
        let step = self.asked.step.0;
        if self.is_aligned() {
            return format!("greatest(start_unix_nano / {step} * {step}, {bound})");
        }
        bound
    }

    fn over_range(
        &self,
        by_hour: bool,
        also_by: &str,
        end: &str,
        what: impl Fn(Source) -> String,
    ) -> Result<Statement, QueryError> {
        let rolled = self.rolled.as_ref().filter(|_| self.is_aligned());
        let cover = rolled.map(|rolled| {
            if by_hour { (&rolled.by_hour, Some(Held::Range)) } else { (&rolled.by_minute, None) }
        });
        self.over(cover, self.asked.range.start.0, also_by, end, what)
    }

    /// `what` of each objective's runs from an instant on, by the grouping columns.
    fn over(
        &self,
        cover: Option<(&Cover, Option<Held>)>,
        from_unix_nano: i64,
        also_by: &str,
        end: &str,
        what: impl Fn(Source) -> String,
    ) -> Result<Statement, QueryError> {
        let grouped = |with: String, from: Source, table: &str, when: &str| {
            let keys = self.asked.keys();
            let by: String = self.asked.by.iter().map(|k| format!(", {}", k.column())).collect();
            format!(
                "{with}
SELECT ordinal, objective, for_stage, target, {keys}{}
FROM {table}{when}
GROUP BY ordinal, objective, for_stage, target{by}{also_by}
{end}",
                what(from),
            )
        };
        let (Some((cover, held)), Some(rolled)) = (cover, &self.rolled) else {
            let over_runs = |has_verdicts| -> Result<String, QueryError> {
                let runs = self.runs(from_unix_nano, has_verdicts)?;
                let runs = runs.ok_or_else(|| QueryError::NotFound("there is no objective".into()))?;
                Ok(grouped(runs, Source::Runs, "runs", ""))
            };
            return Ok(Statement { shown: over_runs(true)?, read: over_runs(self.has_verdicts)? });
        };
        let when = format!(" WHERE at >= {from_unix_nano}");
        let over_cells = |with| grouped(with, Source::Cells, "cells", &when);
        let shown = relation::cells_sql(self.objectives, self.asked, cover, Some(&self.at(rolled)))?;
        let read = match held.filter(|table| rolled.holds(*table)) {
            Some(table) => relation::cells_of_held(cover, table),
            None => relation::cells_sql(self.objectives, self.asked, cover, None)?,
        };
        Ok(Statement { shown: over_cells(shown), read: over_cells(read) })
    }

    fn runs(&self, from_unix_nano: i64, has_verdicts: bool) -> Result<Option<String>, QueryError> {
        let stretch = (from_unix_nano, self.asked.range.end.0);
        runs_within_sql(self.objectives, self.asked, &within([stretch]), has_verdicts)
    }
}

impl Rolled {
    /// Whether a table's cells are few enough to be held at once.
    fn holds(&self, table: Held) -> bool {
        let cover = if table == Held::Range { &self.by_hour } else { &self.windows };
        let covered = cover.hours.stretches().chain(cover.minutes.stretches());
        cover.is_rolled() && covered.map(|(start, end)| end - start).sum::<i64>() <= HELD_MAX_NS
    }

    /// `None` where no cell helps.
    fn new(objectives: &[Objective], asked: &Analysis, coverage: &Coverage) -> Option<Self> {
        let mut digests: Vec<Digest> = objectives.iter().map(digest).collect();
        digests.sort_unstable();
        digests.dedup();
        let (start, end) = (asked.range.start.0, asked.range.end.0);
        let cover = |start, end, by_hour| coverage.cover(&digests, start, end, by_hour);
        let (by_hour, by_minute) = (cover(start, end, true), cover(start, end, false));
        // An hour is covered only where its minutes are.
        if !by_hour.is_rolled() || by_hour.runs != by_minute.runs {
            return None;
        }
        let mut bounds: Vec<i64> = burn_windows(asked).into_iter().map(|(_, ns)| end - ns).collect();
        bounds.extend([start, end]);
        bounds.sort_unstable();
        let from = end - longest(asked);
        let parts = bounds.windows(2).filter(|part| part[0] >= from && part[0] < part[1]);
        let windows = parts.map(|part| cover(part[0], part[1], true)).reduce(|all, part| Cover {
            hours: all.hours.union(&part.hours),
            minutes: all.minutes.union(&part.minutes),
            runs: [all.runs, part.runs].concat(),
        })?;
        let mut runs = [by_hour.runs.as_slice(), &windows.runs].concat();
        runs.sort_unstable();
        // So that the time of what is counted together says whose stretches it lies in.
        bounds.extend(runs.iter().flat_map(|(start, end)| [*start, *end]));
        bounds.sort_unstable();
        bounds.dedup();
        Some(Self { by_hour, by_minute, windows, runs: united(runs), bounds })
    }
}

/// Ordered stretches, of which none overlaps or touches the next.
fn united(stretches: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    let mut united: Vec<(i64, i64)> = Vec::with_capacity(stretches.len());
    for (start, end) in stretches {
        match united.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => united.push((start, end)),
        }
    }
    united
}

fn longest(asked: &Analysis) -> i64 {
    burn_windows(asked).into_iter().map(|(_, ns)| ns).max().unwrap_or(0)
}

pub fn burn_windows(asked: &Analysis) -> Vec<(&'static str, i64)> {
    let is_long = asked.range.length().0 >= LONG_FROM_RANGE_NS;
    BURN_WINDOWS.into_iter().filter(|(_, ns)| is_long || *ns < LONG_WINDOW_NS).collect()
}
