//! The relation `cells`: what runs count by slice, stage and objective, from a rollup where it covers and from single
//! runs elsewhere.

use plimsoll_schemas::objective::Objective;

use super::cells;
use super::coverage::{ALL_RUNS, Cover, digest, within};
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
/// The table of the cells of an answer, where those were read before.
pub const CELLS: &str = "cells of the answer";
const OBJECTIVE: &str = "ordinal, objective, for_stage, target";

/// The statement that reads what single runs count, for [`SINGLES`].
pub fn singles_sql(
    objectives: &[Objective],
    asked: &Analysis,
    cover: &Cover,
    at: &str,
    has_verdicts: bool,
) -> Result<Option<String>, QueryError> {
    let stretches = within(cover.runs.iter().copied());
    let runs = runs_within_sql(objectives, asked, &stretches, has_verdicts)?;
    Ok(runs.map(|runs| format!("{runs}\n{}", counted(at))))
}

fn counted(at: &str) -> String {
    format!(
        "SELECT {OBJECTIVE}, {SLICE}, {at} AS at,\n  {}\n  FROM runs GROUP BY {OBJECTIVE}, {SLICE}, {at}",
        cells::of_runs(),
        SLICE = cells::SLICE,
    )
}

/// The statement that reads the cells of an answer, for [`CELLS`]: planned once, where each statement over them would plan it again.
pub fn read_sql(
    objectives: &[Objective],
    asked: &Analysis,
    cover: &Cover,
    at: &str,
) -> Result<String, QueryError> {
    let cells = cells_sql(objectives, asked, cover, at, true)?;
    Ok(format!("{cells}\nSELECT {OBJECTIVE}, {}, at, {} FROM cells", cells::SLICE, cells::names()))
}

/// Common table expressions that end in `cells`: rows with the objective's `ordinal`, `objective`, `for_stage` and
/// `target`, the slice's keys, a time `at`, and what a cell of a rollup counts. Single runs are counted together where
/// `at`, an expression over `start_unix_nano`, is the same, or were so before (`is_read`); `at` of a rollup's cell is its start.
pub fn cells_sql(
    objectives: &[Objective],
    asked: &Analysis,
    cover: &Cover,
    at: &str,
    is_read: bool,
) -> Result<String, QueryError> {
    let mut parts = Vec::new();
    let mut runs = None;
    if is_read {
        let (slice, names) = (cells::SLICE, cells::names());
        parts.push(format!("SELECT {OBJECTIVE}, {slice}, at, {names} FROM \"{SINGLES}\""));
    } else if !cover.runs.is_empty() {
        runs = runs_within_sql(objectives, asked, &within(cover.runs.iter().copied()), true)?;
        parts.extend(runs.as_ref().map(|_| counted(at)));
    }
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
        let (when, what, slice) = (within(minutes.stretches()), cells::names(), columns("c"));
        let select = |from: &str| {
            format!("SELECT {objective}, {slice}, c.start_unix_nano AS at, {what}\n  FROM {from}")
        };
        if !plain.is_empty() {
            parts.push(select(&format!(
                "(SELECT * FROM {view} WHERE {when}{filter}) c JOIN objectives o ON c.stage = o.for_stage WHERE o.ordinal IN ({})",
                plain.join(", ")
            )));
        }
        if !judged.is_empty() {
            parts.push(select(&format!(
                "(SELECT {SLICE}, objective AS digest, start_unix_nano, {what} FROM {judged_view} WHERE {when}{filter}) c
  JOIN (VALUES {}) d (of_ordinal, of_digest) ON c.digest = d.of_digest JOIN objectives o ON o.ordinal = d.of_ordinal",
                judged.join(", "),
                SLICE = cells::SLICE,
            )));
        }
    };
    read("stage_hours", OBJECTIVE_HOURS, &cover.hours);
    read("stage_minutes", OBJECTIVE_MINUTES, &cover.minutes);
    if parts.is_empty() {
        return Err(QueryError::NotFound("there is no objective".into()));
    }
    let tables = runs.unwrap_or_else(|| format!("WITH {}", values(objectives)));
    Ok(format!("{tables},\ncells AS (\n  {}\n)", parts.join("\n  UNION ALL\n  ")))
}
