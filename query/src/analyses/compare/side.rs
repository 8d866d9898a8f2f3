//! One side of a comparison: its traces, their runs and verdicts, and the envelope under which they ran.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, Int64Array};
use arrow::record_batch::RecordBatch;
use plimsoll_analysis::fleet::compare::{Run, Side};
use plimsoll_schemas::DurationNs;
use plimsoll_schemas::comparison::REQUEST;
use plimsoll_schemas::envelope::COLUMNS;
use plimsoll_schemas::objective::Objective;

use super::super::Analysis;
use super::super::judged::runs_sql;
use super::columns::{Columns, text, yes};
use crate::engine::View;
use crate::error::QueryError;
use crate::filter::{self, Over, Term};
use crate::state::QueryState;
use crate::time::TimeRange;

/// Traces of one side. Above that, those with the lowest ids: ids are random, so that they are a fair sample.
const TRACES_MAX: usize = 20_000;
/// Runs of one side.
const RUNS_MAX: usize = 1_000_000;

/// A slice in a window.
#[derive(Debug)]
pub struct Sliced {
    pub terms: Vec<Term>,
    pub range: TimeRange,
}

/// What makes two traces the same task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PairBy {
    None,
    Task,
    Session,
    Attribute(String),
}

impl PairBy {
    pub fn parse(text: Option<&str>) -> Result<Self, QueryError> {
        match text {
            None | Some("task") => Ok(Self::Task),
            Some("none") => Ok(Self::None),
            Some("session") => Ok(Self::Session),
            Some(key) if key.starts_with("attributes.") => Ok(Self::Attribute(key.to_owned())),
            Some(other) => Err(QueryError::Invalid(format!(
                "pair_by: expected task, session, none or attributes.NAME (of the root), got {other:?}"
            ))),
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Task => "task",
            Self::Session => "session",
            Self::Attribute(key) => key,
        }
    }
}

/// The task and, where tasks are its own, the workload class.
pub type Key<'a> = (Option<&'a str>, &'a str);

#[derive(Debug)]
pub struct Trace {
    pub trace_id: String,
    start_unix_nano: i64,
    workload_class: Option<String>,
    key: Option<String>,
}

/// One side, with its stages by name until both sides are known.
#[derive(Debug)]
pub struct Fetched {
    pub traces: Vec<Trace>,
    /// How many traces there are, of which these may be a sample.
    pub all_traces: u64,
    pub stages: BTreeSet<String>,
    stage_of: Vec<String>,
    pub side: Side,
    /// Values of each part of the envelope, with how many of the traces have them; `None` is unknown.
    pub envelope: Vec<(&'static str, BTreeMap<Option<String>, usize>)>,
}

pub async fn fetch(
    state: &QueryState,
    view: &View,
    asked: &Analysis,
    of: &Sliced,
    objectives: &[Objective],
    pair_by: &PairBy,
    statements: &mut Vec<String>,
) -> Result<Fetched, QueryError> {
    let within = asked.within("start_unix_nano");
    let slice = filter::sql(&of.terms, Over::Traces)?;
    let count = format!("SELECT count(*) AS traces FROM traces WHERE {within}{slice}");
    let all_traces = state.objects(view, &count).await?;
    let all_traces = all_traces.first().and_then(|r| r.get("traces")?.as_u64()).unwrap_or(0);
    let sql = runs(asked, objectives, &within, &slice, pair_by)?;
    let batches = state.ours(view, sql.clone()).await?.batches;
    statements.push(sql);
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if rows > RUNS_MAX {
        return Err(QueryError::Refused(format!(
            "compare: a side has more than {RUNS_MAX} runs; narrow its window or its slice"
        )));
    }
    let mut fetched = Fetched {
        traces: Vec::new(),
        all_traces,
        stages: BTreeSet::new(),
        stage_of: Vec::with_capacity(rows),
        side: Side::default(),
        envelope: COLUMNS.map(|column| (column, BTreeMap::new())).to_vec(),
    };
    for batch in &batches {
        fetched.add(&Columns::of(batch)?);
    }
    Ok(fetched)
}

/// The rows of the chosen traces, each trace's request first.
fn runs(
    asked: &Analysis,
    objectives: &[Objective],
    within: &str,
    slice: &str,
    pair_by: &PairBy,
) -> Result<String, QueryError> {
    let judged = runs_sql(objectives, asked, asked.range.start.0)?
        .ok_or_else(|| QueryError::Internal("there is no objective".into()))?;
    let envelope = COLUMNS.map(|c| format!(", {c}")).concat();
    let (key, of_spans) = match pair_by {
        PairBy::None => ("CAST(NULL AS VARCHAR)".to_owned(), String::new()),
        PairBy::Task => ("t.task_id".to_owned(), String::new()),
        PairBy::Session => ("t.session_id".to_owned(), String::new()),
        PairBy::Attribute(key) => (
            "k.pair_key".to_owned(),
            format!(
                "\n  LEFT JOIN (SELECT x.tenant, x.trace_id, x.span_id, {} AS pair_key FROM spans x WHERE {within}) k
    ON t.tenant = k.tenant AND t.trace_id = k.trace_id AND t.root_span_id = k.span_id",
                filter::attribute_value(key)
            ),
        ),
    };
    let same = |a: &str, b: &str| format!("{a}.tenant = {b}.tenant AND {a}.trace_id = {b}.trace_id");
    let numbers = "is_good, passed, green_but_wrong";
    let nulls = COLUMNS.map(|c| format!(", NULL AS {c}")).concat();
    Ok(format!(
        "{judged},
of_runs AS (
  SELECT tenant, trace_id, root_span_id, stage, bool_and(good_high) AS is_good, bool_and(passed) AS passed,
    bool_or(green_but_wrong) FILTER (WHERE is_judged) AS green_but_wrong
  FROM (
    SELECT *, CASE WHEN is_judged THEN NOT CASE WHEN metrics = 0 THEN failed_any ELSE failed_named END END AS passed FROM runs
  ) GROUP BY tenant, trace_id, root_span_id, stage
),
chosen AS (
  SELECT * FROM traces WHERE {within}{slice} ORDER BY trace_id, tenant LIMIT {TRACES_MAX}
),
repeats AS (
  SELECT tenant, trace_id, max(attempts) AS longest FROM attempts
  WHERE group_source = 'semantic_repeat' AND start_unix_nano >= {start} GROUP BY tenant, trace_id
),
tools AS (
  SELECT DISTINCT tenant, trace_id FROM stage_runs WHERE stage = 'execute' AND start_unix_nano >= {start}
)
SELECT t.tenant, t.trace_id, true AS is_request, '{REQUEST}' AS stage, t.start_unix_nano, t.duration_ns, t.outcome = 'ok' AS is_ok,
  CAST(t.attempts AS BIGINT) AS attempts, CAST(t.logical_calls AS BIGINT) AS logical_calls, t.path_queue_ns AS queue_ns,
  coalesce(t.input_tokens + t.output_tokens, t.input_tokens, t.output_tokens) AS tokens, t.cost_usd, {numbers},
  CAST(coalesce(r.longest, CASE WHEN u.trace_id IS NOT NULL THEN 1 END) AS BIGINT) AS longest_repeat,
  t.workload_class, {key} AS pair_key{envelope}
FROM chosen t
  LEFT JOIN of_runs q ON {tq} AND t.root_span_id = q.root_span_id AND q.stage = '{REQUEST}'
  LEFT JOIN repeats r ON {tr}
  LEFT JOIN tools u ON {tu}{of_spans}
UNION ALL
SELECT s.tenant, s.trace_id, false, s.stage, s.start_unix_nano, s.duration_ns, s.outcome = 'ok',
  CAST(s.attempts AS BIGINT), 1, s.queue_ns,
  coalesce(s.input_tokens + s.output_tokens, s.input_tokens, s.output_tokens), s.cost_usd, {numbers},
  NULL, NULL, NULL{nulls}
FROM stage_runs s
  JOIN chosen t ON {st}
  LEFT JOIN of_runs q ON {sq} AND s.root_span_id = q.root_span_id AND s.stage = q.stage
ORDER BY trace_id, tenant, is_request DESC, start_unix_nano
LIMIT {limit}",
        start = asked.range.start.0,
        tq = same("t", "q"),
        tr = same("t", "r"),
        tu = same("t", "u"),
        st = same("s", "t"),
        sq = same("s", "q"),
        limit = RUNS_MAX + 1,
    ))
}

impl Fetched {
    fn add(&mut self, of: &Columns) {
        for row in 0..of.rows {
            if of.is_request.value(row) {
                self.traces.push(Trace {
                    trace_id: of.trace_id.value(row).to_owned(),
                    start_unix_nano: of.start.value(row),
                    workload_class: text(&of.workload_class, row),
                    key: text(&of.pair_key, row),
                });
                for ((_, counts), column) in self.envelope.iter_mut().zip(&of.envelope) {
                    *counts.entry(text(column, row)).or_default() += 1;
                }
            }
            // Its request came before it.
            let Some(trace) = self.traces.len().checked_sub(1) else { continue };
            let stage = of.stage.value(row);
            if !self.stages.contains(stage) {
                self.stages.insert(stage.to_owned());
            }
            self.stage_of.push(stage.to_owned());
            let count = |column: &Int64Array| u32::try_from(column.value(row)).unwrap_or(u32::MAX);
            self.side.runs.push(Run {
                trace: u32::try_from(trace).unwrap_or(u32::MAX),
                stage: 0,
                duration: DurationNs(of.duration.value(row)),
                is_good: yes(&of.is_good, row),
                is_ok: of.is_ok.value(row),
                passed: yes(&of.passed, row),
                green_but_wrong: yes(&of.green_but_wrong, row),
                attempts: count(&of.attempts),
                logical_calls: count(&of.logical_calls),
                longest_repeat: of.longest_repeat.is_valid(row).then(|| count(&of.longest_repeat)),
                queue: of.queue.is_valid(row).then(|| DurationNs(of.queue.value(row))),
                tokens: of.tokens.is_valid(row).then(|| of.tokens.value(row)),
                cost_usd: of.cost.is_valid(row).then(|| of.cost.value(row)),
            });
        }
        self.side.traces = u32::try_from(self.traces.len()).unwrap_or(u32::MAX);
    }

    pub fn runs_of(&self, stage: &str) -> usize {
        self.stage_of.iter().filter(|s| *s == stage).count()
    }

    /// Gives the runs the numbers of their stages; runs of others are left out.
    pub fn number(&mut self, names: &[String]) {
        let numbers: BTreeMap<&str, u32> = (0..).zip(names).map(|(i, name)| (name.as_str(), i)).collect();
        let mut stages = self.stage_of.iter();
        self.side.runs.retain_mut(|run| {
            let number = stages.next().and_then(|stage| numbers.get(stage.as_str()));
            number.map(|number| run.stage = *number).is_some()
        });
    }

    /// The traces of each task, the first first.
    pub fn by_key(&self, by_class: bool) -> BTreeMap<Key<'_>, Vec<u32>> {
        let mut traces: Vec<(u32, &Trace)> = (0..).zip(&self.traces).collect();
        traces.sort_by_key(|(_, t)| (t.start_unix_nano, &t.trace_id));
        let mut by_key: BTreeMap<Key<'_>, Vec<u32>> = BTreeMap::new();
        for (index, trace) in traces {
            if let Some(key) = &trace.key {
                let class = trace.workload_class.as_deref().filter(|_| by_class);
                by_key.entry((class, key)).or_default().push(index);
            }
        }
        by_key
    }
}
