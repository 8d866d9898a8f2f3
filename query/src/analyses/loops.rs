//! Agents that ask the same again: the same tool with the same arguments, over all traces of a session. A transport retry is
//! none: it repeats a call, not a decision.
//!
//! Where an agent wraps a client span, and that a server's, the outermost is the decision. Calls without recorded arguments are
//! left out and counted apart: whether they repeat is unknown.

use futures::FutureExt;
use plimsoll_schemas::{DurationNs, UnixNanos};
use serde_json::Map;

use super::definition::{Answer, Definition, Explain, InSql};
use super::{Analysis, GROUPS_MAX, share};
use crate::engine::View;
use crate::error::QueryError;
use crate::filter::{self, Over};
use crate::state::QueryState;

pub static DEFINITION: Definition = Definition {
    name: "loops",
    function: "loops",
    summary: "Agents that call the same tool with the same arguments again, over the traces of a session",
    by: Some(&[]),
    parameters: &[],
    rows: "rows",
    answer: |state, view, asked| async move { answer(&state, &view, &asked).await }.boxed(),
    in_sql: InSql::Statement(|_, _, asked| async move { sql(&asked) }.boxed()),
};

/// Agents' traces run for hours.
const LONGEST_TRACE: DurationNs = DurationNs(UnixNanos::NANOS_PER_DAY);

/// One row per tool (and grouping columns). A trace without a session is a session of its own.
fn sql(asked: &Analysis) -> Result<String, QueryError> {
    if let Some(key) = asked.by.iter().find(|key| matches!(key.column(), "stage" | "service")) {
        let problem =
            format!("by: {} is none that a whole trace has, and loops go over traces", key.column());
        return Err(QueryError::Invalid(problem));
    }
    let keys = asked.keys();
    // Calls have their tenant already.
    let of_trace = keys.replace("tenant, ", "");
    // A trace may have begun before the range in which its calls are looked for.
    let began = asked.range.start - LONGEST_TRACE;
    Ok(format!(
        "WITH sent AS (
  SELECT tenant, trace_id, span_id, parent_span_id, start_unix_nano, gen_ai_tool_name AS tool,
    canonical_json(gen_ai_tool_call_arguments) AS arguments
  FROM spans
  WHERE gen_ai_operation_name = 'execute_tool' AND gen_ai_tool_name IS NOT NULL AND {within}
),
tried AS (
  SELECT a.tenant, a.trace_id, a.span_id, a.group_id, a.ordinal, s.parent_span_id
  FROM attempts a JOIN sent s ON a.tenant = s.tenant AND a.trace_id = s.trace_id AND a.span_id = s.span_id
  WHERE a.group_source <> 'semantic_repeat' AND {within_attempts}
),
again AS (
  SELECT tenant, trace_id, span_id FROM tried WHERE ordinal > 1
  UNION ALL
  SELECT n.tenant, n.trace_id, n.parent_span_id AS span_id FROM tried n
  JOIN tried f ON n.tenant = f.tenant AND n.trace_id = f.trace_id AND n.group_id = f.group_id
  WHERE n.ordinal > 1 AND f.ordinal = 1 AND n.parent_span_id <> f.parent_span_id
),
decided AS (
  SELECT s.* FROM sent s
  LEFT ANTI JOIN sent outer_call ON s.tenant = outer_call.tenant AND s.trace_id = outer_call.trace_id
    AND s.parent_span_id = outer_call.span_id AND s.tool = outer_call.tool
  LEFT ANTI JOIN again ON s.tenant = again.tenant AND s.trace_id = again.trace_id AND s.span_id = again.span_id
),
of_session AS (
  SELECT {of_trace}d.*, coalesce(t.session_id, d.trace_id) AS session
  FROM decided d JOIN (SELECT {of_trace}tenant AS of_tenant, trace_id AS of_trace_id, session_id FROM traces
    WHERE start_unix_nano >= {began} AND start_unix_nano < {end}{filter}) t
    ON d.tenant = t.of_tenant AND d.trace_id = t.of_trace_id
),
numbered AS (
  SELECT *, row_number() OVER (PARTITION BY tenant, session, tool, arguments ORDER BY start_unix_nano, span_id) AS nth,
    row_number() OVER (PARTITION BY tenant, session ORDER BY start_unix_nano, span_id)
      - row_number() OVER (PARTITION BY tenant, session, tool, arguments ORDER BY start_unix_nano, span_id) AS island
  FROM of_session WHERE arguments IS NOT NULL
),
runs AS (
  SELECT *, count(*) OVER (PARTITION BY tenant, session, tool, arguments, island) AS run FROM numbered
)
SELECT {keys}tool, count(DISTINCT session) AS sessions, count(DISTINCT session) FILTER (WHERE nth > 1) AS looping_sessions,
  count(*) AS calls, count(*) FILTER (WHERE nth > 1) AS repeats, {loop_share} AS loop_share, max(run) AS longest_run,
  sample_ids(trace_id, CAST(nth AS BIGINT)) AS sample_trace_ids
FROM runs
GROUP BY {keys}tool
ORDER BY repeats DESC, calls DESC, {keys}tool
LIMIT {GROUPS_MAX}",
        within = asked.within("start_unix_nano"),
        within_attempts = asked.within("a.start_unix_nano"),
        began = began.0,
        end = asked.range.end.0,
        filter = filter::sql(&asked.filter, Over::Traces)?,
        loop_share = share("count(*) FILTER (WHERE nth > 1)", "count(*)"),
    ))
}

async fn answer(state: &QueryState, view: &View, asked: &Analysis) -> Result<Answer, QueryError> {
    let sql = sql(asked)?;
    let mut rows = state.objects(view, &sql).await?;
    for row in &mut rows {
        let key = asked.key(row);
        row.insert("key".into(), key.into());
    }
    let explain = Explain {
        sql: vec![sql],
        method: "Tool calls with recorded arguments, of which wrappers of one call count once and transport retries not at all. A repeat \
                 is a call of a tool with arguments (JSON without order of keys and white space) that its session has called it with before; \
                 the longest run is how often in a row.",
        sample_trace_ids: Vec::new(),
    };
    Ok(Answer { rows, more: Map::new(), explain })
}
