//! What is tried again: attempts, amplification and wasted time per edge and window; and agents that repeat themselves,
//! counted apart, because the remedies differ.

use futures::FutureExt;
use serde_json::{Map, Value, json};

use super::definition::{Answer, Definition, Explain, InSql};
use super::{Analysis, GROUPS_MAX, number, ratio, share, timed};
use crate::engine::View;
use crate::error::QueryError;
use crate::filter::{self, Over};
use crate::state::QueryState;

pub static DEFINITION: Definition = Definition {
    name: "retries",
    function: "retries",
    summary: "What is tried again, how far that multiplies, and what it wastes",
    by: None,
    parameters: &[],
    rows: "edges",
    answer: |state, view, asked| async move { answer(&state, &view, &asked).await }.boxed(),
    in_sql: InSql::Statement(|_, _, asked| async move { edges_sql(&asked) }.boxed()),
};

const COUNTS: &str = "sum(logical_calls) AS logical_calls, sum(attempts) AS attempts, sum(retries) AS retries,
  sum(failed_attempts) AS failed_attempts, sum(hedges) AS hedges, sum(wasted_ns) AS wasted_ns, sum(backoff_ns) AS backoff_ns";
const EDGE: &str = "caller, callee, operation";
/// Edges whose windows are told, the most wasteful first.
const EDGES_WITH_SERIES: usize = 50;

/// The statement behind the edges.
pub fn edges_sql(asked: &Analysis) -> Result<String, QueryError> {
    Ok(format!(
        "SELECT {EDGE}, {COUNTS}, {amplification} AS amplification, {retry_share} AS retry_share,
  sample_ids(trace_id, wasted_ns) AS sample_trace_ids
FROM edges
WHERE {within}{filter}
GROUP BY {EDGE}
ORDER BY retries DESC, attempts DESC, {EDGE}
LIMIT {GROUPS_MAX}",
        within = asked.within("window_unix_nano"),
        filter = filter::sql(&asked.filter, Over::Edges)?,
        amplification = share("sum(attempts)", "sum(logical_calls)"),
        retry_share = share("sum(retries)", "sum(attempts)"),
    ))
}

fn series_sql(asked: &Analysis) -> Result<String, QueryError> {
    Ok(format!(
        "SELECT {EDGE}, {point} AS point, sum(logical_calls) AS logical_calls, sum(attempts) AS attempts,
  sum(retries) AS retries, sum(wasted_ns) AS wasted_ns
FROM edges WHERE {within}{filter} GROUP BY {EDGE}, point ORDER BY point",
        point = asked.point("window_unix_nano"),
        within = asked.within("window_unix_nano"),
        filter = filter::sql(&asked.filter, Over::Edges)?,
    ))
}

fn loops_sql(asked: &Analysis) -> Result<String, QueryError> {
    Ok(format!(
        "SELECT callee AS tool, caller AS service, count(DISTINCT trace_id) AS sessions,
  count(*) FILTER (WHERE ordinal > 1) AS repeats, max(attempts) AS longest_run,
  sample_ids(trace_id, CAST(attempts AS BIGINT)) AS sample_trace_ids
FROM attempts WHERE group_source = 'semantic_repeat' AND {within}{filter}
GROUP BY callee, caller ORDER BY repeats DESC LIMIT {GROUPS_MAX}",
        within = asked.within("start_unix_nano"),
        filter = filter::sql(&asked.filter, Over::Edges)?,
    ))
}

async fn answer(state: &QueryState, view: &View, asked: &Analysis) -> Result<Answer, QueryError> {
    let (edges_sql, series_sql, loops_sql) = (edges_sql(asked)?, series_sql(asked)?, loops_sql(asked)?);
    let mut edges = state.objects(view, &edges_sql).await?;
    let series = state.objects(view, &series_sql).await?;
    let loops = state.objects(view, &loops_sql).await?;
    let mut totals = Map::new();
    for column in ["logical_calls", "attempts", "retries", "wasted_ns"] {
        let sum: f64 = edges.iter().filter_map(|e| number(e, column)).sum();
        totals.insert(column.into(), json!(sum as i64));
    }
    // Amplification = attempts ÷ logical calls; retry share = retries started ÷ attempts started.
    totals
        .insert("amplification".into(), ratio(number(&totals, "attempts"), number(&totals, "logical_calls")));
    totals.insert("retry_share".into(), ratio(number(&totals, "retries"), number(&totals, "attempts")));
    for (rank, edge) in edges.iter_mut().enumerate() {
        let same = |p: &&Map<String, Value>| EDGE.split(", ").all(|c| p.get(c) == edge.get(c));
        let points: Vec<Map<String, Value>> = series.iter().filter(same).cloned().map(timed).collect();
        edge.insert("peak".into(), peak(&points));
        let shown = if rank < EDGES_WITH_SERIES { points } else { Vec::new() };
        let shown = shown.into_iter().map(|mut p| {
            EDGE.split(", ").for_each(|c| drop(p.remove(c)));
            Value::from(p)
        });
        edge.insert("series".into(), shown.collect());
    }
    let mut more = Map::new();
    more.insert("totals".into(), totals.into());
    more.insert("loops".into(), loops.into_iter().map(Value::from).collect());
    let explain = Explain {
        sql: vec![edges_sql, series_sql, loops_sql],
        method: "Attempts and logical calls per edge, counted when a trace settles: amplification is attempts ÷ logical calls, \
                 retry share is retries ÷ attempts. Loops are repeats of the same tool with the same arguments, counted apart.",
        sample_trace_ids: Vec::new(),
    };
    Ok(Answer { rows: edges, more, explain })
}

/// The window with the greatest retry share, of those in which anything was retried.
fn peak(points: &[Map<String, Value>]) -> Value {
    let share = |p: &Map<String, Value>| {
        let attempts = number(p, "attempts").filter(|n| *n > 0.0)?;
        number(p, "retries").map(|r| r / attempts).filter(|s| *s > 0.0)
    };
    let most = points.iter().filter_map(|p| Some((share(p)?, p))).max_by(|a, b| a.0.total_cmp(&b.0));
    match most {
        None => Value::Null,
        Some((share, p)) => json!({
            "time_unix_nano": p.get("time_unix_nano"),
            "amplification": ratio(number(p, "attempts"), number(p, "logical_calls")),
            "retry_share": share,
        }),
    }
}
