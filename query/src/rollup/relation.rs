//! The relation `cells`: what runs count by slice, stage and objective, from a rollup where it covers and from single
//! runs elsewhere.

use plimsoll_schemas::objective::Objective;

use super::cells;
use super::coverage::{ALL_RUNS, Cover, digest, is_within, within};
use super::minutes::Minutes;
use crate::analyses::judged::{runs_within_sql, values};
use crate::analyses::{Analysis, GroupKey};
use crate::error::QueryError;
use crate::filter::{self, Over, quote};
use crate::tables::{OBJECTIVE_HOURS, OBJECTIVE_MINUTES};

/// Whether what is asked can be told from cells: they know no run one by one.
pub fn tells(asked: &Analysis) -> bool {
    let is_key = |key: &GroupKey| cells::SLICE.split(", ").any(|slice| slice == key.column());
    asked.by.iter().all(is_key) && filter::sql(&asked.filter, Over::Cells).is_ok()
}

/// The table of what single runs count, where that was read before.
pub const SINGLES: &str = "cells of single runs";
const OBJECTIVE: &str = "ordinal, objective, for_stage, target";

/// A table of cells of rollups, where those were read before: each statement over them would plan and read them again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Of the range, with all that they count.
    Range,
    /// Of the windows before its end, with what the burn is made of.
    Windows,
}

impl Held {
    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "cells of the range",
            Self::Windows => "cells of the windows",
        }
    }

    fn counts(self) -> String {
        match self {
            Self::Range => cells::names(),
            Self::Windows => "runs, good_high".to_owned(),
        }
    }
}

/// The statement that reads what single runs of these stretches count, for [`SINGLES`].
pub fn singles_sql(
    objectives: &[Objective],
    asked: &Analysis,
    stretches: &[(i64, i64)],
    at: &str,
    has_verdicts: bool,
) -> Result<Option<String>, QueryError> {
    let runs = runs_within_sql(objectives, asked, &within(stretches.iter().copied()), has_verdicts)?;
    Ok(runs.map(|runs| format!("{runs}\n{}", counted(at))))
}

fn counted(at: &str) -> String {
    format!(
        "SELECT {OBJECTIVE}, {SLICE}, at, {} FROM (SELECT {OBJECTIVE}, {SLICE}, at,\n  {}
  FROM (SELECT *, {at} AS at FROM runs) GROUP BY {OBJECTIVE}, {SLICE}, at)",
        cells::names(),
        cells::of_runs(),
        SLICE = cells::SLICE,
    )
}

/// The statement that fills a table of cells.
pub fn held_sql(
    objectives: &[Objective],
    asked: &Analysis,
    cover: &Cover,
    table: Held,
) -> Result<String, QueryError> {
    let parts = rolled(objectives, asked, cover, &table.counts())?;
    Ok(format!("WITH {}\n{}", values(objectives), parts.join("\nUNION ALL\n")))
}

/// The relation `cells` (see [`cells_sql`]) of a table that was filled before.
pub fn cells_of_held(cover: &Cover, table: Held) -> String {
    let (slice, counts) = (cells::SLICE, table.counts());
    format!(
        "WITH cells AS (\n  {}\n  UNION ALL\n  SELECT {OBJECTIVE}, {slice}, at, {counts} FROM \"{}\"\n)",
        singles(cover, &counts),
        table.name()
    )
}

/// What was counted of a cover's single runs, which may be some of those that were read.
fn singles(cover: &Cover, counts: &str) -> String {
    let (slice, which) = (cells::SLICE, is_within("at", cover.runs.iter().copied()));
    format!("SELECT {OBJECTIVE}, {slice}, at, {counts} FROM \"{SINGLES}\" WHERE {which}")
}

/// Common table expressions that end in `cells`: rows with the objective's `ordinal`, `objective`, `for_stage` and
/// `target`, the slice's keys, a time `at`, and what a cell of a rollup counts. Single runs are counted together where
/// `at`, an expression over `start_unix_nano`, is the same; without it, they were so before. `at` of a rollup's cell is
/// its start.
pub fn cells_sql(
    objectives: &[Objective],
    asked: &Analysis,
    cover: &Cover,
    at: Option<&str>,
) -> Result<String, QueryError> {
    let mut parts = rolled(objectives, asked, cover, &cells::names())?;
    let mut runs = None;
    match at {
        None => parts.push(singles(cover, &cells::names())),
        Some(at) if !cover.runs.is_empty() => {
            runs = runs_within_sql(objectives, asked, &within(cover.runs.iter().copied()), true)?;
            parts.extend(runs.as_ref().map(|_| counted(at)));
        }
        Some(_) => {}
    }
    if parts.is_empty() {
        return Err(QueryError::NotFound("there is no objective".into()));
    }
    let tables = runs.unwrap_or_else(|| format!("WITH {}", values(objectives)));
    Ok(format!("{tables},\ncells AS (\n  {}\n)", parts.join("\n  UNION ALL\n  ")))
}

/// Statements over `objectives` whose rows are a cover's cells of rollups.
fn rolled(
    objectives: &[Objective],
    asked: &Analysis,
    cover: &Cover,
    counts: &str,
) -> Result<Vec<String>, QueryError> {
    let mut parts = Vec::new();
    let digests: Vec<(usize, String)> = objectives.iter().map(digest).enumerate().collect();
    let plain: Vec<String> =
        digests.iter().filter(|(_, d)| d == ALL_RUNS).map(|(ordinal, _)| ordinal.to_string()).collect();
    let judged: Vec<String> = digests
        .iter()
        .filter(|(_, d)| d != ALL_RUNS)
        .map(|(ordinal, digest)| format!("({ordinal}, {})", quote(digest)))
        .collect();
    let filter = filter::sql(&asked.filter, Over::Cells)?;
    let columns =
        |of: &str| cells::SLICE.split(", ").map(|c| format!("{of}.{c}")).collect::<Vec<_>>().join(", ");
    let objective = "o.ordinal, o.objective, o.for_stage, o.target";
    let mut read = |view: &str, judged_view: &str, minutes: &Minutes| {
        if minutes.is_empty() {
            return;
        }
        let (when, slice) = (within(minutes.stretches()), columns("c"));
        let select = |from: &str| {
            format!("SELECT {objective}, {slice}, c.start_unix_nano AS at, {counts}\n  FROM {from}")
        };
        if !plain.is_empty() {
            parts.push(select(&format!(
                "(SELECT * FROM {view} WHERE {when}{filter}) c JOIN objectives o ON c.stage = o.for_stage WHERE o.ordinal IN ({})",
                plain.join(", ")
            )));
        }
        if !judged.is_empty() {
            parts.push(select(&format!(
                "(SELECT {SLICE}, objective AS digest, start_unix_nano, {counts} FROM {judged_view} WHERE {when}{filter}) c
  JOIN (VALUES {}) d (of_ordinal, of_digest) ON c.digest = d.of_digest JOIN objectives o ON o.ordinal = d.of_ordinal",
                judged.join(", "),
                SLICE = cells::SLICE,
            )));
        }
    };
    read("stage_hours", OBJECTIVE_HOURS, &cover.hours);
    read("stage_minutes", OBJECTIVE_MINUTES, &cover.minutes);
    Ok(parts)
}
