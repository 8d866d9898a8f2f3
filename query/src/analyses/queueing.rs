//! Where work waits and where it is done, from settled stage runs.
//!
//! Queue time that no evidence tells is unknown, not zero: `queue_share` speaks of the runs whose queue is known,
//! and `queue_coverage` says which share of the time that is.

use futures::FutureExt;
use serde_json::{Map, Value};

use super::definition::{Answer, Definition, Explain, InSql};
use super::{Analysis, GROUPS_MAX, number, share, timed};
use crate::engine::View;
use crate::error::QueryError;
use crate::filter::{self, Over};
use crate::state::QueryState;

pub static DEFINITION: Definition = Definition {
    name: "queueing",
    function: "queueing",
    summary: "Where work waits and where it is done",
    by: Some(&["stage"]),
    parameters: &[],
    rows: "groups",
    answer: |state, view, asked| async move { answer(&state, &view, &asked).await }.boxed(),
    in_sql: InSql::Statement(|_, _, asked| async move { groups_sql(&asked) }.boxed()),
};

const SUMS: &str = "sum(duration_ns) AS duration_ns, sum(queue_ns) AS queue_ns, sum(load_ns) AS load_ns,
  sum(compute_ns) AS compute_ns, sum(transit_ns) AS transit_ns, sum(backoff_ns) AS backoff_ns,
  sum(blocked_ns) AS blocked_ns, sum(unattributed_ns) AS unattributed_ns";

/// Time of the runs whose queue is known.
const KNOWN_NS: &str = "sum(duration_ns) FILTER (WHERE queue_ns IS NOT NULL)";

/// The statement behind the groups.
pub fn groups_sql(asked: &Analysis) -> Result<String, QueryError> {
    let filter = filter::sql(&asked.filter, Over::StageRuns)?;
    let keys = asked.keys();
    let quantiles: String = ["duration", "queue"]
        .into_iter()
        .flat_map(|column| [("50", "0.5"), ("95", "0.95"), ("99", "0.99")].map(|(p, q)| (column, p, q)))
        .map(|(column, p, q)| format!(",\n  hdr_quantile({column}_ns, {q}) AS {column}_p{p}_ns"))
        .collect();
    Ok(format!(
        "SELECT {keys}count(*) AS runs, count(*) FILTER (WHERE outcome <> 'ok') AS errors,
  {SUMS},
  {queue_share} AS queue_share, {queue_coverage} AS queue_coverage,
  sum(path_ns) AS critical_path_ns{quantiles},
  sample_ids(trace_id, duration_ns) AS sample_trace_ids
FROM stage_runs
WHERE {within}{filter}
{group}ORDER BY critical_path_ns DESC
LIMIT {GROUPS_MAX}",
        queue_share = share("sum(queue_ns)", KNOWN_NS),
        queue_coverage = share(&format!("coalesce({KNOWN_NS}, 0)"), "sum(duration_ns)"),
        within = asked.within("start_unix_nano"),
        group = asked.group(),
    ))
}

fn series_sql(asked: &Analysis) -> Result<String, QueryError> {
    let filter = filter::sql(&asked.filter, Over::StageRuns)?;
    let keys = asked.keys();
    Ok(format!(
        "SELECT {keys}{point} AS point, count(*) AS runs, {SUMS}
FROM stage_runs WHERE {within}{filter} GROUP BY {keys}point ORDER BY point",
        point = asked.point("start_unix_nano"),
        within = asked.within("start_unix_nano"),
    ))
}

async fn answer(state: &QueryState, view: &View, asked: &Analysis) -> Result<Answer, QueryError> {
    let (groups_sql, series_sql) = (groups_sql(asked)?, series_sql(asked)?);
    let groups = state.objects(view, &groups_sql).await?;
    let mut series = state.objects(view, &series_sql).await?;
    let mut keyed: Vec<(Map<String, Value>, Vec<Value>)> = Vec::new();
    for row in &mut series {
        let key = asked.key(row);
        let point = timed(std::mem::take(row)).into();
        match keyed.iter_mut().find(|(k, _)| *k == key) {
            Some((_, points)) => points.push(point),
            None => keyed.push((key, vec![point])),
        }
    }
    let groups =
        groups.into_iter().filter(|g| number(g, "runs").is_some_and(|n| n > 0.0)).map(|mut group| {
            let key = asked.key(&mut group);
            let points = keyed.iter().find(|(k, _)| *k == key).map(|(_, p)| p.clone()).unwrap_or_default();
            group.insert("series".into(), points.into());
            group.insert("key".into(), key.into());
            group
        });
    let explain = Explain {
        sql: vec![groups_sql, series_sql],
        method: "Sums and HDR quantiles over settled stage runs. Queue time without evidence is unknown: queue_share is of the \
                 runs whose queue is known, queue_coverage says which share of the time they are.",
        sample_trace_ids: Vec::new(),
    };
    Ok(Answer { rows: groups.collect(), explain, ..Answer::default() })
}
