//! Work that went on after it was known, or came to be known, that what it built on was wrong.
//!
//! A run is tainted by a failed verdict on a span of its trace when it began after the judged run had ended: it could have used
//! the wrong answer. Verdicts come late, so that this is computed when it is asked.

use futures::FutureExt;
use serde_json::Map;

use super::definition::{Answer, Definition, Explain, InSql};
use super::{Analysis, GROUPS_MAX, number};
use crate::engine::View;
use crate::error::QueryError;
use crate::filter::{self, Over};
use crate::state::QueryState;

pub static DEFINITION: Definition = Definition {
    name: "taint",
    function: "taint",
    summary: "Work that built on an answer which a verdict says was wrong",
    by: Some(&["stage"]),
    parameters: &[],
    rows: "rows",
    answer: |state, view, asked| async move { answer(&state, &view, &asked).await }.boxed(),
    in_sql: InSql::Statement(|_, _, asked| async move { sql(&asked) }.boxed()),
};

fn sql(asked: &Analysis) -> Result<String, QueryError> {
    let (keys, group) = (asked.keys(), asked.group());
    Ok(format!(
        "WITH wrong AS (
  SELECT v.tenant, v.trace_id, min(r.start_unix_nano + r.duration_ns) AS ended_unix_nano
  FROM latest_verdicts v JOIN stage_runs r ON v.tenant = r.tenant AND v.trace_id = r.trace_id
  WHERE NOT v.pass AND v.span_id IS NOT NULL AND (r.root_span_id = v.span_id OR array_has(r.span_ids, v.span_id))
  GROUP BY v.tenant, v.trace_id
),
runs AS (
  SELECT r.*, w.ended_unix_nano IS NOT NULL AND r.start_unix_nano >= w.ended_unix_nano AS is_tainted
  FROM (SELECT * FROM stage_runs WHERE {within}{filter}) r
  LEFT JOIN wrong w ON r.tenant = w.tenant AND r.trace_id = w.trace_id
)
SELECT {keys}count(*) FILTER (WHERE is_tainted) AS tainted_runs, count(*) AS runs,
  count(DISTINCT trace_id) FILTER (WHERE is_tainted) AS tainted_traces,
  coalesce(sum(duration_ns) FILTER (WHERE is_tainted), 0) AS tainted_ns,
  sum(input_tokens) FILTER (WHERE is_tainted) AS tainted_input_tokens, sum(output_tokens) FILTER (WHERE is_tainted) AS tainted_output_tokens,
  sum(cost_usd) FILTER (WHERE is_tainted) AS tainted_cost_usd,
  sample_ids(trace_id, duration_ns) FILTER (WHERE is_tainted) AS sample_trace_ids
FROM runs
{group}ORDER BY tainted_runs DESC, runs DESC
LIMIT {GROUPS_MAX}",
        within = asked.within("start_unix_nano"),
        filter = filter::sql(&asked.filter, Over::StageRuns)?,
    ))
}

async fn answer(state: &QueryState, view: &View, asked: &Analysis) -> Result<Answer, QueryError> {
    let sql = sql(asked)?;
    let mut rows = state.objects(view, &sql).await?;
    rows.retain(|row| number(row, "runs").is_some_and(|n| n > 0.0));
    for row in &mut rows {
        let key = asked.key(row);
        row.insert("key".into(), key.into());
    }
    let explain = Explain {
        sql: vec![sql],
        method: "Runs that began after the run that a failed verdict judges had ended, in the same trace. Verdicts on whole traces or sessions taint nothing: \
                 they do not say where it went wrong.",
        sample_trace_ids: Vec::new(),
    };
    Ok(Answer { rows, more: Map::new(), explain })
}
