//! Where the time of a slice goes: the critical paths of its requests, added up by calling context.
//!
//! Every nanosecond of a request lies in one run of its trace, so that the sums are the requests' durations.

use futures::FutureExt;
use serde_json::Map;

use super::definition::{Answer, Definition, Explain, InSql};
use super::{Analysis, number, ratio};
use crate::engine::View;
use crate::error::QueryError;
use crate::filter::{self, Over};
use crate::state::QueryState;

/// Contexts in one answer, those with the most time first.
const ROWS_MAX: usize = 500;

pub static DEFINITION: Definition = Definition {
    name: "paths",
    function: "paths",
    summary: "Where the time of requests goes: critical paths by calling context and class",
    by: Some(&[]),
    parameters: &[],
    rows: "rows",
    answer: |state, view, asked| async move { answer(&state, &view, &asked).await }.boxed(),
    in_sql: InSql::Statement(|_, _, asked| async move { sql(&asked) }.boxed()),
};

/// One row per calling context (and grouping columns).
fn sql(asked: &Analysis) -> Result<String, QueryError> {
    let keys = asked.keys();
    let keys = keys.as_str();
    Ok(format!(
        "SELECT {keys}context, stage AS of_stage, count(*) AS runs, count(DISTINCT trace_id) AS traces,
  sum(path_ns) AS path_ns, sum(path_queue_ns) AS path_queue_ns, sum(path_load_ns) AS path_load_ns,
  sum(path_compute_ns) AS path_compute_ns, sum(path_transit_ns) AS path_transit_ns,
  sum(path_backoff_ns) AS path_backoff_ns, sum(path_unattributed_ns) AS path_unattributed_ns,
  sum(duration_ns) FILTER (WHERE queue_ns IS NOT NULL) / CAST(sum(duration_ns) AS DOUBLE) AS queue_coverage,
  sample_ids(trace_id, path_ns) AS sample_trace_ids
FROM stage_runs
WHERE {within}{filter}
GROUP BY {keys}context, stage
ORDER BY path_ns DESC, context
LIMIT {ROWS_MAX}",
        within = asked.within("start_unix_nano"),
        filter = filter::sql(&asked.filter, Over::StageRuns)?,
    ))
}

async fn answer(state: &QueryState, view: &View, asked: &Analysis) -> Result<Answer, QueryError> {
    let sql = sql(asked)?;
    let mut rows = state.objects(view, &sql).await?;
    let total: f64 = rows.iter().filter_map(|row| number(row, "path_ns")).sum();
    for row in &mut rows {
        let key = asked.key(row);
        row.insert("share".into(), ratio(number(row, "path_ns"), Some(total)));
        row.insert("key".into(), key.into());
    }
    let mut more = Map::new();
    more.insert("path_ns".into(), (total as i64).into());
    let explain = Explain {
        sql: vec![sql],
        method: "The critical path of each settled request, cut into the runs that it lies in, and added up by the stages through which \
                 they were called. Together they are the requests' durations. Queue time is known for the share queue_coverage of the runs' time.",
        sample_trace_ids: Vec::new(),
    };
    Ok(Answer { rows, more, explain })
}
