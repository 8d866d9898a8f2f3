//! Rollups: `stage_minutes` and `stage_hours`, computed from settled runs in the background, on the queries' own threads.
//!
//! A pass looks at one snapshot: it uncovers the minutes in which something changed, then computes what is not covered,
//! the newest first, each minute whole and never added to. An answer reads cells where they are covered and single runs
//! elsewhere (see [`coverage`]); both count by the same SQL ([`cells`], `analyses::judged`).

mod cells;
mod changes;
pub mod coverage;
pub mod minutes;
pub mod relation;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use plimsoll_schemas::objective::{Objective, built_in};
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{DurationNs, UnixNanos};
use plimsoll_store::{DataFile, Home, Snapshot, StoreError};

use crate::analyses::Analysis;
use crate::analyses::judged::runs_within_sql;
use crate::engine::View;
use crate::error::QueryError;
use crate::filter::quote;
use crate::state::QueryState;
use crate::tables::{OBJECTIVE_MINUTES, every_revision, latest_verdicts};
use crate::time::{self, TimeRange};
use coverage::{ALL_RUNS, Coverage, Digest, Rolled, digest, digest_of, within};
use minutes::{HOUR_MINUTES, HOUR_NS, MINUTE_NS, Minutes};

pub use cells::{counted, sampled};
pub use changes::since;

/// Minutes younger than this are left to single runs: most of their traces have not settled.
const RIPE_NS: i64 = 5 * MINUTE_NS;
const DAY_MINUTES: i64 = 24 * HOUR_MINUTES;
/// Runs that are rolled up by one statement, as far as the files' sizes tell; an hour at least.
const RUNS_AT_ONCE: u64 = 200_000;
/// Stretches of one pass, so that it does not hold on to its snapshot's files.
pub const STRETCHES_PER_PASS: usize = 24;
/// Objectives of which cells are kept; others are counted from single runs.
const OBJECTIVES_MAX: usize = 64;

/// What is rolled up, and the right to change it.
#[derive(Debug)]
pub struct Rollup {
    home: Home,
    coverage: Mutex<Arc<Coverage>>,
    pass: tokio::sync::Mutex<Pass>,
}

/// What passes know of those before.
#[derive(Debug, Default)]
struct Pass {
    /// Stretches of which the tables hold rows, of any revision; `None` before the tables were asked.
    held: Option<BTreeMap<Digest, Rolled>>,
    /// The highest revision of any cell.
    revision: i64,
    saved: Option<Arc<Coverage>>,
}

impl Rollup {
    pub fn new(home: Home) -> Self {
        Self { home, coverage: Mutex::default(), pass: tokio::sync::Mutex::default() }
    }

    /// To be taken before the snapshot that it is used with: what it covers is in there.
    pub fn coverage(&self) -> Arc<Coverage> {
        self.coverage.lock().clone()
    }

    fn cover(&self, coverage: Coverage) -> Arc<Coverage> {
        let coverage = Arc::new(coverage);
        *self.coverage.lock() = coverage.clone();
        coverage
    }

    /// Rolls up what is due. Answers how many stretches were.
    pub async fn pass(&self, state: &QueryState) -> Result<usize, QueryError> {
        let pass = &mut *self.pass.lock().await;
        if state.store().is_read_only() {
            return self.follow(state, pass).await;
        }
        let mut coverage = self.coverage();
        let view = seen(state);
        let judges = judges(state);
        if pass.held.is_none() {
            coverage = Arc::new(self.begin(state, &view, pass).await?);
        } else {
            self.save(state, &view.snapshot, &coverage, pass).await?;
        }
        let changed =
            if coverage.is_empty() { Minutes::default() } else { since(state, &view, &coverage).await? };
        let mut now = (*coverage).clone();
        let digests: Vec<Digest> = judges.keys().cloned().collect();
        now.retain(&digests);
        now.uncover(&changed);
        (now.through, now.settled) = (view.snapshot.wal_seq, Some(view.snapshot.settled));
        now.meaning = meaning(state);
        now.is_final = nothing_settles_at(state, &view.snapshot);
        let mut coverage = self.cover(now);

        let mut left = due(&view.snapshot);
        let covered = digests.iter().map(|d| coverage.rolled(d));
        let whole = covered.fold(left.clone(), |all, rolled| {
            all.intersection(&rolled.minutes).intersection(&unhoured(&rolled))
        });
        left = left.without(&whole);
        let (mut stretches, mut failed) = (0, None);
        while stretches < STRETCHES_PER_PASS
            && let Some(stretch) = newest(&view.snapshot, &left)
        {
            left = left.without(&stretch);
            stretches += 1;
            let mut next = (*coverage).clone();
            let _turn = state.store().turn().await;
            match self.roll(state, &view, &judges, &stretch, &mut next, pass).await {
                Ok(()) => coverage = self.cover(next),
                // It stays due; what is older does not wait for it.
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(stretches), Err)
    }

    /// Where another process rolls up: takes over what it wrote down. The tables are read on in between, so that they hold the cells.
    async fn follow(&self, state: &QueryState, pass: &mut Pass) -> Result<usize, QueryError> {
        let written = Coverage::load(&self.home).await;
        if pass.saved.as_deref() == Some(&written) {
            return Ok(0);
        }
        let failed = |e: StoreError| QueryError::Internal(format!("following: {e}"));
        state.store().refresh().await.map_err(failed)?;
        pass.saved = Some(Arc::new(written));
        let covered = self.begin(state, &seen(state), pass).await?;
        self.cover(covered);
        Ok(0)
    }

    /// The first pass: what the last process left, as far as the tables hold it.
    async fn begin(&self, state: &QueryState, view: &View, pass: &mut Pass) -> Result<Coverage, QueryError> {
        let mut held: BTreeMap<Digest, Rolled> = BTreeMap::new();
        for table in [Table::StageMinutes, Table::StageHours] {
            // By the hour for minutes too: more than there are do no harm, and years of them are few.
            let sql = format!(
                "SELECT coalesce(objective, '') AS objective, start_unix_nano / {HOUR_NS} AS hour, max(revision) AS revision
FROM {} GROUP BY 1, 2",
                every_revision(table)
            );
            let mut hours: BTreeMap<Digest, Vec<(i64, i64)>> = BTreeMap::new();
            for row in state.objects(view, &sql).await? {
                let number = |column: &str| row.get(column).and_then(serde_json::Value::as_i64).unwrap_or(0);
                let digest = row.get("objective").and_then(|o| o.as_str()).unwrap_or_default();
                let start = number("hour") * HOUR_MINUTES;
                hours.entry(digest.to_owned()).or_default().push((start, start + HOUR_MINUTES));
                pass.revision = pass.revision.max(number("revision"));
            }
            for (digest, hours) in hours {
                *held.entry(digest).or_default().of_mut(table) = hours.into_iter().collect();
            }
        }
        let written = match &pass.saved {
            Some(written) => (**written).clone(),
            None => Coverage::load(&self.home).await,
        };
        let coverage = written.still(&meaning(state), &held);
        pass.held = Some(held);
        Ok(coverage)
    }

    /// Writes down what is covered, once the cells are durable.
    async fn save(
        &self,
        state: &QueryState,
        snapshot: &Snapshot,
        coverage: &Arc<Coverage>,
        pass: &mut Pass,
    ) -> Result<(), QueryError> {
        let in_memory = |table: Table| !snapshot.table(table).tail.is_empty();
        if in_memory(Table::StageMinutes) || in_memory(Table::StageHours) {
            return Ok(());
        }
        if pass.saved.as_ref().is_none_or(|saved| saved != coverage) {
            coverage.save(&self.home).await.map_err(|e| QueryError::Internal(format!("rollups: {e}")))?;
            pass.saved = Some(coverage.clone());
            state.store().rolled_up_through(coverage.through);
        }
        Ok(())
    }

    /// Computes the cells of a stretch, minutes and the hours that are complete.
    async fn roll(
        &self,
        state: &QueryState,
        view: &View,
        judges: &BTreeMap<Digest, Objective>,
        stretch: &Minutes,
        coverage: &mut Coverage,
        pass: &mut Pass,
    ) -> Result<(), QueryError> {
        let missing: Vec<&Digest> =
            judges.keys().filter(|d| !stretch.without(&coverage.rolled(d).minutes).is_empty()).collect();
        if let Some(sql) = minutes_sql(state, view, judges, &missing, stretch).await? {
            pass.replace(state, view, Table::StageMinutes, &missing, stretch, &[sql]).await?;
        }
        for digest in &missing {
            coverage.rolled_mut(digest).add(Table::StageMinutes, stretch);
        }
        let hours: Vec<(&Digest, Minutes)> = judges
            .keys()
            .map(|digest| {
                let rolled = coverage.rolled(digest);
                let whole = rolled.minutes.whole_hours().intersection(&stretch.hours());
                (digest, whole.without(&rolled.hours))
            })
            .filter(|(_, hours)| !hours.is_empty())
            .collect();
        let all = hours.iter().fold(Minutes::default(), |all, (_, hours)| all.union(hours));
        let of: Vec<&Digest> = hours.iter().map(|(digest, _)| *digest).collect();
        if !of.is_empty() {
            // With the minutes that were just added.
            let view = seen(state);
            let sql = hours_sql(&of, &all);
            pass.replace(state, &view, Table::StageHours, &of, &all, &sql).await?;
        }
        for (digest, hours) in hours {
            coverage.rolled_mut(digest).add(Table::StageHours, &hours);
        }
        Ok(())
    }
}

impl Pass {
    /// Adds the cells that the statements answer, and where there may be older ones something that supersedes them.
    async fn replace(
        &mut self,
        state: &QueryState,
        view: &View,
        table: Table,
        digests: &[&Digest],
        stretch: &Minutes,
        statements: &[String],
    ) -> Result<(), QueryError> {
        let held = self.held.get_or_insert_default();
        let before = digests
            .iter()
            .filter_map(|digest| held.get(*digest))
            .fold(Minutes::default(), |all, rolled| all.union(rolled.of(table)))
            .intersection(stretch);
        // Unlike any before, also where nothing was logged in between.
        self.revision = (self.revision + 1).max(i64::try_from(view.snapshot.wal_seq).unwrap_or(i64::MAX));
        let mut statements = statements.to_vec();
        if !before.is_empty() {
            let which: Vec<String> = digests.iter().map(|digest| quote(digest)).collect();
            statements.push(format!(
                "SELECT tenant, '' AS stage, objective, start_unix_nano, {}
FROM (SELECT DISTINCT tenant, objective, start_unix_nano FROM {}
  WHERE {} AND coalesce(objective, '') IN ({}))",
                cells::of_nothing(),
                every_revision(table),
                within(before.stretches()),
                which.join(", ")
            ));
        }
        // First: a failure half-way leaves rows behind.
        for digest in digests {
            held.entry((*digest).clone()).or_default().add(table, stretch);
        }
        for sql in statements {
            for batch in state.ours(view, sql).await?.batches {
                let rows = cells::rows(table, &batch, self.revision, !before.is_empty())?;
                let added = state.store().add_rollup(table, rows);
                added.map_err(|e| QueryError::Internal(format!("rollups: {e}")))?;
            }
        }
        Ok(())
    }
}

/// What a pass looks at: runs, verdicts and cells. Spans that are in memory would stay there for as long as it takes.
fn seen(state: &QueryState) -> View {
    let view = state.view(None);
    View { snapshot: Arc::new(view.snapshot.without(Table::Spans)), ..view }
}

/// To be changed with what a cell counts.
const VERSION: u32 = 2;

fn meaning(state: &QueryState) -> String {
    let verdicts = latest_verdicts(&state.options().rules);
    digest_of(&format!("{VERSION} {verdicts}"))
}

/// Whether no pass of settling to come can have the snapshot's sequence: all that it shows is settled there.
fn nothing_settles_at(state: &QueryState, snapshot: &Snapshot) -> bool {
    if state.store().unsettled_from().is_some() {
        return false;
    }
    let now = state.store().snapshot();
    now.wal_seq == snapshot.wal_seq && now.settled == snapshot.settled
}

/// By what runs are judged now.
fn judges(state: &QueryState) -> BTreeMap<Digest, Objective> {
    let objectives = state.objectives().current();
    let mut judges: BTreeMap<Digest, Objective> =
        objectives.objectives.iter().take(OBJECTIVES_MAX).map(|o| (digest(o), o.clone())).collect();
    judges.insert(ALL_RUNS.to_owned(), built_in(None));
    judges
}

/// The minutes of the days and hours that have runs, but for those that are not ripe.
fn due(snapshot: &Snapshot) -> Minutes {
    let mut ranges = Vec::new();
    for table in [Table::StageRuns, Table::Traces].map(|t| snapshot.table(t)) {
        for file in table.files.iter() {
            let (start, end) = minutes_of(file);
            // What clients sent under an impossible time lies in some day's file, and is left to single runs.
            let day = i64::from(file.day) * DAY_MINUTES;
            let is_whole = end - start <= DAY_MINUTES;
            ranges.push(if is_whole { (start, end) } else { (start.max(day), end.min(day + DAY_MINUTES)) });
        }
    }
    let ripe = (time::now().0 - RIPE_NS).div_euclid(MINUTE_NS);
    ranges.into_iter().collect::<Minutes>().hours().intersection(&Minutes::of(0, ripe))
}

/// From the minute of the first row to after that of the last.
fn minutes_of(file: &DataFile) -> (i64, i64) {
    let (start, end) = file.time_range;
    (start.0.div_euclid(MINUTE_NS), end.0.div_euclid(MINUTE_NS) + 1)
}

/// The minutes that are in a covered hour, or in one that is not complete: for the others the hour is missing.
fn unhoured(rolled: &Rolled) -> Minutes {
    let complete = rolled.minutes.whole_hours();
    rolled.minutes.without(&complete.without(&rolled.hours))
}

/// The newest of what is left: an hour, or the day where few runs are.
fn newest(snapshot: &Snapshot, left: &Minutes) -> Option<Minutes> {
    let (hour, minutes) = left.last_hour()?;
    let day = hour.div_euclid(DAY_MINUTES) * DAY_MINUTES;
    let files = snapshot.table(Table::StageRuns).files.iter();
    let of_day = files.filter(|file| {
        let (start, end) = minutes_of(file);
        start < day + DAY_MINUTES && end > day
    });
    let runs: u64 = of_day.map(|file| file.rows).sum();
    if runs > RUNS_AT_ONCE {
        return Some(minutes);
    }
    Some(left.intersection(&Minutes::of(day, day + DAY_MINUTES)))
}

/// The statement whose rows are the cells of these minutes; `None` where nothing ran.
async fn minutes_sql(
    state: &QueryState,
    view: &View,
    judges: &BTreeMap<Digest, Objective>,
    digests: &[&Digest],
    stretch: &Minutes,
) -> Result<Option<String>, QueryError> {
    let of = |digest: &str, objective: &Objective| Objective { name: digest.to_owned(), ..objective.clone() };
    let mut objectives = Vec::new();
    for digest in digests {
        if digest.as_str() != ALL_RUNS {
            objectives.extend(judges.get(*digest).map(|o| of(digest, o)));
            continue;
        }
        let sql = format!(
            "SELECT DISTINCT stage FROM stage_runs WHERE {} AND stage <> 'request' ORDER BY stage",
            within(stretch.stretches())
        );
        let stages = state.objects(view, &sql).await?;
        let stages = stages.iter().filter_map(|row| row.get("stage")?.as_str());
        objectives.push(of(ALL_RUNS, &built_in(None)));
        objectives.extend(stages.map(|stage| of(ALL_RUNS, &built_in(Some(stage)))));
    }
    let asked = Analysis {
        range: TimeRange { start: UnixNanos(0), end: UnixNanos(0) },
        step: DurationNs(MINUTE_NS),
        by: Vec::new(),
        filter: Vec::new(),
        parameters: BTreeMap::new(),
    };
    let runs = runs_within_sql(&objectives, &asked, &within(stretch.stretches()), view.has_verdicts())?;
    Ok(runs.map(|runs| {
        format!(
            "{runs}
SELECT {SLICE}, nullif(objective, '') AS objective, start_unix_nano / {MINUTE_NS} * {MINUTE_NS} AS start_unix_nano,
  {}
FROM runs GROUP BY {SLICE}, objective, start_unix_nano / {MINUTE_NS}",
            cells::of_runs(),
            SLICE = cells::SLICE,
        )
    }))
}

/// The statements whose rows are the cells of these hours, whose minutes are all there.
fn hours_sql(digests: &[&Digest], hours: &Minutes) -> Vec<String> {
    let of = |view: &str, which: String| {
        format!(
            "SELECT {SLICE}, objective, start_unix_nano / {HOUR_NS} * {HOUR_NS} AS start_unix_nano,
  {}
FROM {view} WHERE {}{which} GROUP BY {SLICE}, objective, start_unix_nano / {HOUR_NS}",
            cells::of_cells(),
            within(hours.stretches()),
            SLICE = cells::SLICE,
        )
    };
    let judged: Vec<String> = digests.iter().filter(|d| d.as_str() != ALL_RUNS).map(|d| quote(d)).collect();
    let mut statements = Vec::new();
    if judged.len() < digests.len() {
        statements.push(of(Table::StageMinutes.as_str(), String::new()));
    }
    if !judged.is_empty() {
        statements.push(of(OBJECTIVE_MINUTES, format!(" AND objective IN ({})", judged.join(", "))));
    }
    statements
}
