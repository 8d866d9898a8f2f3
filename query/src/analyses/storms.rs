//! Retry storms of a range of time: fetches windows of edges and of requests, and shapes what
//! [`plimsoll_analysis::fleet::storms`] finds in them.

mod rows;

use arrow::datatypes::{DataType, Field, Schema};
use futures::FutureExt;
use plimsoll_analysis::fleet::storms::{self, BUDGET, Observed, Storm};
use plimsoll_schemas::objective::{built_in, duration};
use plimsoll_schemas::{DurationNs, Rules, UnixNanos};
use serde_json::Map;

use super::definition::{Answer, Definition, Explain, InSql, Parameter};
use super::judged::runs_sql;
use super::{Analysis, number};
use crate::engine::View;
use crate::error::QueryError;
use crate::filter::{self, Over, quote};
use crate::state::QueryState;
use crate::time::TimeRange;
use rows::{Edges, Found};

/// Edges on which anything failed or was retried, the most retried first.
const EDGES_MAX: usize = 400;
/// Windows of one range: what is longer takes wider ones.
const WINDOWS_MAX: i64 = 10_000;
/// Storms that are told, the most wasteful first.
const STORMS_MAX: usize = 50;
/// Of the requests that an edge was retried in, the share that goes through another, for both to be connected.
const CONNECTED_SHARE: f64 = 0.02;

pub static DEFINITION: Definition = Definition {
    name: "storms",
    function: "storms",
    summary: "Retry storms: their trigger, kind, amplification and cost, and whether they feed themselves",
    by: None,
    parameters: &[
        Parameter {
            name: "window",
            value: "TIME",
            help: "Width of a window, a multiple of 10s [default: by the range, from 10s]",
        },
        Parameter {
            name: "budget",
            value: "SHARE",
            help: "The share of retries that is granted [default: 0.1]",
        },
    ],
    rows: "storms",
    answer: |state, view, asked| async move { answer(&state, &view, &asked).await }.boxed(),
    in_sql: InSql::Computed { columns },
};

fn columns() -> Schema {
    let column = |name: &str, data_type: DataType| Field::new(name, data_type, true);
    let ids = DataType::List(std::sync::Arc::new(Field::new("element", DataType::Utf8, true)));
    let (text, int, double, flag) = (DataType::Utf8, DataType::Int64, DataType::Float64, DataType::Boolean);
    Schema::new(vec![
        column("start_unix_nano", int.clone()),
        column("end_unix_nano", int.clone()),
        column("open", flag.clone()),
        column("kind", text.clone()),
        column("trigger_caller", text.clone()),
        column("trigger_callee", text.clone()),
        column("trigger_operation", text),
        column("trigger_unix_nano", int.clone()),
        column("metastable", flag.clone()),
        column("provisional", flag),
        column("peak_amplification", double.clone()),
        column("layered_amplification", double.clone()),
        column("peak_retry_share", double.clone()),
        column("attempts", int.clone()),
        column("retries", int.clone()),
        column("attempts_above_baseline", int.clone()),
        column("wasted_ns", int.clone()),
        column("traces", int),
        column("goodput_lost", double),
        column("sample_trace_ids", ids),
    ])
}

/// A range in windows.
#[derive(Debug, Clone, Copy)]
struct Windows {
    first: UnixNanos,
    width: DurationNs,
    count: u32,
}

impl Windows {
    fn of(asked: &Analysis) -> Result<Self, QueryError> {
        let base = Rules::EDGE_WINDOW.0;
        let TimeRange { start, end } = asked.range;
        let width = match asked.parameter("window") {
            Some(text) => {
                duration(text).map(|d| d.0).filter(|w| *w > 0 && w % base == 0).ok_or_else(|| {
                    QueryError::Invalid(format!(
                        "window: expected a multiple of 10s such as 30s or 5m, got {text:?}"
                    ))
                })?
            }
            None => {
                let steps = [1, 3, 6, 30, 60, 360].map(|n| n * base);
                let fits = |width: &i64| asked.range.length().0 / width < WINDOWS_MAX;
                steps
                    .into_iter()
                    .find(fits)
                    .unwrap_or(asked.range.length().0 / WINDOWS_MAX / base * base + base)
            }
        };
        let first = start.0 - start.0.rem_euclid(width);
        let count = (end.0 - first + width - 1) / width;
        if count > WINDOWS_MAX {
            let problem =
                format!("window: the range has {count} of them, more than {WINDOWS_MAX}; use a longer one");
            return Err(QueryError::Invalid(problem));
        }
        Ok(Self { first: UnixNanos(first), width: DurationNs(width), count: count as u32 })
    }

    fn start(&self, window: u32) -> i64 {
        self.first.0 + i64::from(window) * self.width.0
    }

    /// The number of the window in which a time lies, in SQL.
    fn number(&self, column: &str) -> String {
        format!("({column} - {}) / {}", self.first.0, self.width.0)
    }
}

async fn answer(state: &QueryState, view: &View, asked: &Analysis) -> Result<Answer, QueryError> {
    let windows = Windows::of(asked)?;
    let budget = match asked.parameter("budget") {
        None => BUDGET,
        Some(text) => text.parse().ok().filter(|b| (0.0..=1.0).contains(b)).ok_or_else(|| {
            QueryError::Invalid(format!("budget: expected a share from 0 to 1 such as 0.1, got {text:?}"))
        })?,
    };
    let all = all_edges(asked, &windows)?;
    let series_sql = series_sql(&all, &windows);
    let mut explain = Explain {
        sql: vec![series_sql.clone()],
        method: "Windows of edges, settled and live: an edge storms from a retry share of a third, or the budget if that is more, over at least \
                 20 attempts, until it is under a sixth. Edges that are retried or fail in the same traces are connected; the trigger is the deepest \
                 of those that failed first.",
        sample_trace_ids: Vec::new(),
    };
    let edges = Edges::read(state.objects(view, &series_sql).await?);
    let alone = Observed { windows: windows.count, edges: &edges.series(), connected: &[], requests: &[] };
    let storming: Vec<usize> = {
        let mut edges: Vec<usize> =
            storms::find(&alone, budget).iter().flat_map(|s| s.edges.iter().map(|e| e.edge)).collect();
        edges.sort_unstable();
        edges.dedup();
        edges
    };
    let mut rows = Vec::new();
    if !storming.is_empty() {
        let connected_sql = connected_sql(&all, &edges, &storming);
        let connected = edges.connected(state.objects(view, &connected_sql).await?, CONNECTED_SHARE);
        let requests = match requests_sql(state, asked, &windows)? {
            Some(sql) => {
                let requests = rows::requests(state.objects(view, &sql).await?, windows.count);
                explain.sql.extend([connected_sql, sql]);
                requests
            }
            None => Vec::new(),
        };
        let series = edges.series();
        let observed =
            Observed { windows: windows.count, edges: &series, connected: &connected, requests: &requests };
        let mut found = storms::find(&observed, budget);
        found.sort_by_key(|s| (std::cmp::Reverse(s.wasted), s.start));
        found.truncate(STORMS_MAX);
        found.sort_by_key(|s| s.start);
        for storm in &found {
            let hit = state.objects(view, &hit_sql(&all, &edges, storm, &windows)).await?;
            let hit = hit.into_iter().next().unwrap_or_default();
            rows.push(Found { observed: &observed, windows: &windows, storm, hit }.row());
        }
    }
    let mut more = Map::new();
    more.insert("window_ns".into(), windows.width.0.into());
    more.insert("windows".into(), windows.count.into());
    more.insert("budget".into(), budget.into());
    Ok(Answer { rows, more, explain })
}

const EDGE: &str = "caller, callee, operation";

/// Settled edges and live ones: every attempt once.
fn all_edges(asked: &Analysis, windows: &Windows) -> Result<String, QueryError> {
    let columns = "tenant, trace_id, caller, callee, operation, window_unix_nano, logical_calls, attempts, retries, failed_attempts,
    failed_overload, failed_deadline, failed_correctness, queue_known, queue_ns, depth, wasted_ns";
    let within = format!(
        "window_unix_nano >= {} AND window_unix_nano < {}{}",
        windows.first.0,
        windows.start(windows.count),
        filter::sql(&asked.filter, Over::Edges)?
    );
    Ok(format!(
        "all_edges AS (
  SELECT {columns}, false AS is_live FROM edges WHERE {within}
  UNION ALL
  SELECT {columns}, true AS is_live FROM live_edges WHERE {within}
)"
    ))
}

fn series_sql(all: &str, windows: &Windows) -> String {
    format!(
        "WITH {all},
troubled AS (
  SELECT {EDGE} FROM all_edges GROUP BY {EDGE} HAVING sum(retries) + sum(failed_attempts) > 0
  ORDER BY sum(retries) DESC, sum(failed_attempts) DESC, {EDGE} LIMIT {EDGES_MAX}
)
SELECT e.caller, e.callee, e.operation, {window} AS window, sum(logical_calls) AS logical_calls, sum(attempts) AS attempts,
  sum(retries) AS retries, sum(failed_attempts) AS failed, sum(failed_overload) AS failed_overload,
  sum(failed_deadline) AS failed_deadline, sum(failed_correctness) AS failed_correctness,
  sum(queue_known) AS queue_known, sum(queue_ns) AS queue_ns, sum(wasted_ns) AS wasted_ns, min(depth) AS depth,
  bool_or(is_live) AS is_live
FROM all_edges e JOIN troubled t ON e.caller = t.caller AND e.callee = t.callee AND e.operation = t.operation
GROUP BY e.caller, e.callee, e.operation, window
ORDER BY e.caller, e.callee, e.operation, window",
        window = windows.number("window_unix_nano"),
    )
}

fn is_one_of(edges: &Edges, which: impl Iterator<Item = usize>) -> String {
    let each = which.map(|e| {
        let (caller, callee, operation) = edges.names(e);
        format!(
            "(caller = {} AND callee = {} AND operation = {})",
            quote(caller),
            quote(callee),
            quote(operation)
        )
    });
    each.collect::<Vec<_>>().join(" OR ")
}

/// In how many traces with retries on a storming edge another edge was retried or failed.
fn connected_sql(all: &str, edges: &Edges, storming: &[usize]) -> String {
    format!(
        "WITH {all},
hit AS (SELECT DISTINCT tenant, trace_id, {EDGE} FROM all_edges WHERE retries > 0 AND ({storming}))
SELECT h.caller AS of_caller, h.callee AS of_callee, h.operation AS of_operation, e.caller, e.callee, e.operation,
  count(DISTINCT e.trace_id) AS traces
FROM hit h JOIN all_edges e ON h.tenant = e.tenant AND h.trace_id = e.trace_id
WHERE e.retries > 0 OR e.failed_attempts > 0
GROUP BY 1, 2, 3, 4, 5, 6",
        storming = is_one_of(edges, storming.iter().copied()),
    )
}

/// Requests offered and good by window: by the first objective on requests, or the built-in one. None where the filter speaks of
/// edges, which requests do not have.
fn requests_sql(
    state: &QueryState,
    asked: &Analysis,
    windows: &Windows,
) -> Result<Option<String>, QueryError> {
    if filter::sql(&asked.filter, Over::Traces).is_err() {
        return Ok(None);
    }
    let set = state.objectives().current();
    let objective =
        set.objectives.iter().find(|o| o.stage.is_none()).cloned().unwrap_or_else(|| built_in(None));
    let Some(runs) = runs_sql(&[objective], asked, windows.first.0)? else { return Ok(None) };
    Ok(Some(format!(
        "{runs}
SELECT {window} AS window, count(*) AS offered, count(*) FILTER (WHERE good_high) AS good
FROM runs GROUP BY window ORDER BY window",
        window = windows.number("start_unix_nano"),
    )))
}

fn hit_sql(all: &str, edges: &Edges, storm: &Storm, windows: &Windows) -> String {
    format!(
        "WITH {all}
SELECT count(DISTINCT trace_id) AS traces, sample_ids(trace_id, wasted_ns) AS sample_trace_ids, bool_or(is_live) AS is_live
FROM all_edges
WHERE window_unix_nano >= {} AND window_unix_nano < {} AND retries > 0 AND ({})",
        windows.start(storm.start),
        windows.start(storm.end),
        is_one_of(edges, storm.edges.iter().map(|e| e.edge)),
    )
}

fn count(row: &Map<String, serde_json::Value>, column: &str) -> u64 {
    number(row, column).map_or(0, |n| n as u64)
}
